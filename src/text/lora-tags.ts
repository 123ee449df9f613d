// LoRAs named in a prompt, as the Stable Diffusion WebUI writes them: <lora:name>, <lora:name:0.8>, and with strengths
// of their own for text encoders and denoiser <lora:name:0.5:0.8> or <lora:name:te=0.5:unet=0.8>. The tags are taken out
// of the text; nothing else of it changes.
import { ImageForgeError } from '../shared/errors.js';

export interface NamedLora {
  /** A name in the LoRA folders, or a path. */
  path: string;
  strength: number;
  /** Of the text encoders, where it is another than the denoiser's. */
  textStrength?: number;
}

/** <lyco:…> is what an extension of the WebUI called LoHa, LoKr and their kin. */
const tag = /<(?:lora|lyco):([^<>]*)>/g;
const hypernetwork = /<hypernet:[^<>]*>/;
const number = /^[+-]?(\d+\.?\d*|\.\d+)$/;

/**
 * @throws ImageForgeError INVALID_ARGUMENT for a tag without a name, or whose strengths aren't numbers; UNSUPPORTED for a
 * hypernetwork's.
 */
export function takeLoraTags(prompt: string): { prompt: string; loras: NamedLora[] } {
  if (typeof prompt !== 'string') return { prompt, loras: [] }; // JavaScript's callers; the request's check names it
  const [unsupported] = hypernetwork.exec(prompt) ?? [];
  if (unsupported !== undefined) {
    throw new ImageForgeError('UNSUPPORTED', `prompt: ${unsupported}: hypernetworks aren't supported`, {
      hint: 'Take the tag out of the prompt, or use a LoRA in its place.',
      details: { fields: ['prompt'] },
    });
  }
  const loras = [...prompt.matchAll(tag)].map(([whole, body = '']) => readTag(whole, body));
  return { prompt: loras.length > 0 ? prompt.replace(tag, '').trim() : prompt, loras };
}

/** Tags of a text that is read without them, each once: in a negative prompt they are words. */
export function findTags(text: string): string[] {
  return [...new Set(text.match(/<(?:lora|lyco|hypernet):[^<>]*>/g))];
}

function readTag(whole: string, body: string): NamedLora {
  const [path = '', ...settings] = body.split(':').map((part) => part.trim());
  if (path === '') throw refuse(whole, 'the name is missing');
  const { strengths, named } = readStrengths(whole, settings);
  // the WebUI's first number is the text encoders' strength, and the denoiser's too where there is no second one
  const text = named.get('te') ?? strengths[0] ?? 1;
  const denoiser = named.get('unet') ?? strengths[1] ?? text;
  return { path, strength: denoiser, ...(text !== denoiser && { textStrength: text }) };
}

function readStrengths(
  whole: string,
  settings: string[],
): { strengths: number[]; named: Map<string, number> } {
  const strengths: number[] = [];
  const named = new Map<string, number>();
  for (const setting of settings) {
    const [, name, text = ''] = /^(?:(\w+)\s*=)?\s*(.*)$/s.exec(setting)!;
    if (name === 'dyn') throw refuse(whole, 'a dynamic rank (dyn) is not supported');
    if (name !== undefined && name !== 'te' && name !== 'unet')
      throw refuse(whole, `${name} is not known here`);
    if (!number.test(text)) throw refuse(whole, `${text || 'an empty text'} is no strength`);
    if (name !== undefined) named.set(name, Number(text));
    else strengths.push(Number(text));
  }
  if (strengths.length > 2) throw refuse(whole, 'a third number (a dynamic rank) is not supported');
  return { strengths, named };
}

function refuse(whole: string, why: string): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', `prompt: ${whole}: ${why}`, {
    hint: 'A LoRA is named like <lora:name:0.8>, or <lora:name:te=0.5:unet=0.8> with two strengths.',
    details: { fields: ['prompt'] },
  });
}
