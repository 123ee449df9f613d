import { describe, expect, it } from 'vitest';
import {
  formatParameters,
  type ParameterSource,
  parseParameters,
} from '../../../../src/service/pictures/parameters.js';

const base: ParameterSource = {
  prompt: 'a red fox',
  negative_prompt: '',
  seed: 42,
  steps: 20,
  guidance: 7.5,
  guidance_rescale: null,
  guidance_scale: 7.5,
  width: 512,
  height: 768,
  model: 'sd15',
  model_id: null,
  family: 'sd1',
  task: 'text2img',
  sampler: 'dpmpp_2m',
  schedule: 'karras',
  noise: 'philox',
  prediction: null,
  clip_skip: 1,
  prompt_syntax: 'webui',
  styles: null,
  control: null,
  upscaler: null,
  upscale: null,
  tae: null,
  strength: null,
  hires: null,
  loras: [],
  embeddings: [],
  assisted: false,
  original_prompt: null,
  original_negative_prompt: null,
  generation_time_seconds: 1,
  elapsed_s: 1,
  software: 'imageforge 0.1.0',
};

describe('formatParameters', () => {
  it("writes the WebUI's text", () => {
    expect(formatParameters({ ...base, negative_prompt: 'blurry' })).toBe(
      'a red fox\nNegative prompt: blurry\n' +
        'Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, Model: sd15, ' +
        'Version: imageforge 0.1.0',
    );
  });

  it('leaves out what was not used and names what was', () => {
    const text = formatParameters({
      ...base,
      strength: 0.6,
      clip_skip: 2,
      noise: 'torch',
      loras: [{ name: 'lcm', strength: 1 }],
    });
    expect(text).toContain('Denoising strength: 0.6, Clip skip: 2, RNG: CPU, Lora: "lcm: 1"');
    const loras = [{ name: 'ink', strength: 0.8, text_strength: 0.5 }];
    expect(formatParameters({ ...base, loras })).toContain('Lora: "ink: 0.5: 0.8"');
    expect(formatParameters(base)).not.toMatch(/Denoising|Clip skip|RNG|Lora|Negative/);
  });

  it('writes a second pass as the WebUI does: the size is the first one’s', () => {
    const hires = { first_width: 512, first_height: 768, scale: 2, steps: 10, strength: 0.4 };
    const large = { ...base, width: 1024, height: 1536 };
    const text = formatParameters({ ...large, hires: { ...hires, upscaler: 'latent' } });
    expect(parseParameters(text)).toMatchObject({
      Size: '512x768',
      'Denoising strength': '0.4',
      'Hires upscale': '2',
      'Hires steps': '10',
      'Hires upscaler': 'Latent',
    });
    const same = formatParameters({ ...large, hires: { ...hires, steps: 20, upscaler: 'pixel' } });
    expect(same).toContain('Hires upscaler: Lanczos');
    expect(same).not.toContain('Hires steps');
    expect(formatParameters(base)).not.toContain('Hires');
  });

  it('writes the size that was drawn, before the upscaler', () => {
    const large = { ...base, width: 2048, height: 1024, upscaler: 'four', upscale: 4 };
    expect(parseParameters(formatParameters(large))).toMatchObject({ Size: '512x256', Upscaler: 'four' });
  });

  it.each([
    ['several lines', 'a fox\nin the snow', 'blurry\nugly'],
    ['line ends of other systems', 'a fox\r\nin the snow', 'blurry\rugly'],
    [
      "the parser's own marks",
      'a fox\nNegative prompt: no',
      'Negative prompt: x\nSteps: 3, Seed: 4, Size: 1x1',
    ],
    ['settings in the prompt', 'Steps: 3, Sampler: Euler, Seed: 4', ''],
    ['quotes and backslashes', 'a "fox" \\(red\\)', ''],
  ])('keeps %s apart', (_, prompt, negative) => {
    const found = parseParameters(formatParameters({ ...base, prompt, negative_prompt: negative }));
    const lines = (text: string) =>
      text.replace(/\r\n?/g, '\n').replaceAll('Negative prompt:', 'Negative prompt :');
    expect(found).toMatchObject({
      Prompt: lines(prompt),
      'Negative prompt': lines(negative),
      Steps: '20',
      Sampler: 'DPM++ 2M',
      Seed: '42',
      Size: '512x768',
    });
  });

  it('quotes values with commas and colons', () => {
    const model = 'C:\\models\\a, "b".gguf';
    const text = formatParameters({ ...base, model });
    expect(parseParameters(text)).toMatchObject({ Model: model, Version: 'imageforge 0.1.0' });
  });
});

describe('parseParameters', () => {
  it('takes text without settings as a prompt', () => {
    expect(parseParameters('just\nwords')).toEqual({ Prompt: 'just\nwords', 'Negative prompt': '' });
  });
});
