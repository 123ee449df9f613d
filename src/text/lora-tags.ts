// LoRAs named in a prompt, as the Stable Diffusion WebUI writes them: <lora:name> and <lora:name:0.8>. The tags are
// taken out of the text; nothing else of it changes.
import { ImageForgeError } from '../shared/errors.js';

export interface NamedLora {
  /** A name in the LoRA folders, or a path. */
  path: string;
  strength: number;
}

const tag = /<lora:([^<>]*)>/g;
const number = /^[+-]?(\d+\.?\d*|\.\d+)$/;

/** @throws ImageForgeError INVALID_ARGUMENT for a tag without a name, or whose strength isn't one number. */
export function takeLoraTags(prompt: string): { prompt: string; loras: NamedLora[] } {
  if (typeof prompt !== 'string') return { prompt, loras: [] }; // JavaScript's callers; the request's check names it
  const loras = [...prompt.matchAll(tag)].map(([whole, body = '']) => readTag(whole, body));
  return { prompt: loras.length > 0 ? prompt.replace(tag, '').trim() : prompt, loras };
}

function readTag(whole: string, body: string): NamedLora {
  const [name = '', ...strengths] = body.split(':').map((part) => part.trim());
  if (name === '') throw refuse(whole, 'the name is missing');
  for (const strength of strengths)
    if (!number.test(strength)) throw refuse(whole, `${strength || 'an empty text'} is no strength`);
  const [strength = '1', second = strength] = strengths.map(Number).map(String);
  // the WebUI's second number is the denoiser's strength, the first then the text encoders'
  if (second !== strength) throw refuse(whole, 'text encoder and denoiser cannot have two strengths');
  return { path: name, strength: Number(strength) };
}

function refuse(whole: string, why: string): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', `prompt: ${whole}: ${why}`, {
    hint: 'A LoRA is named like <lora:name:0.8>.',
    details: { fields: ['prompt'] },
  });
}
