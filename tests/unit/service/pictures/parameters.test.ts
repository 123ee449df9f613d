import { describe, expect, it } from 'vitest';
import { encodePng } from '../../../../src/service/pictures/codec.js';
import {
  formatParameters,
  type ParameterSource,
  parseParameters,
} from '../../../../src/service/pictures/parameters.js';
import { insertPngText, readPngText } from '../../../../src/service/pictures/png-text.js';

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
    expect(found).toMatchObject({
      Prompt: prompt,
      'Negative prompt': negative,
      Steps: '20',
      Sampler: 'DPM++ 2M',
      Seed: '42',
      Size: '512x768',
    });
  });

  it('writes plain prompts once, and nothing that the WebUI does not', () => {
    const text = formatParameters({
      ...base,
      prompt: 'a  fox,\n(red:1.2)',
      negative_prompt: 'ugly,  blurry',
    });
    expect(text).toMatch(/^a {2}fox,\n\(red:1\.2\)\nNegative prompt: ugly, {2}blurry\nSteps: /);
    expect(text).not.toContain('Exact');
  });

  it('returns every prompt unchanged through a PNG file, and gives the settings to the WebUI', async () => {
    const png = await encodePng({ rgb: new Uint8Array(3), width: 1, height: 1 });
    const pieces = [
      ' ',
      '  ',
      '\n',
      '\r',
      '\r\n',
      '\t',
      '\0',
      'fox',
      'é',
      '狐',
      '😀',
      '\ud800',
      '\u2028',
      '\u00a0',
      '"',
      '\\',
    ]
      .concat([
        ',',
        ':',
        'Negative prompt:',
        'Negative prompt :',
        ' Negative prompt: x',
        'Steps: 20, Seed: 4, Size: 1x1',
      ])
      .concat([
        '\nSteps: 20, Sampler: x, Seed: 4',
        'Exact prompt: "no"',
        'Exact negative prompt: no',
        '__proto__: x',
      ]);
    let state = 1;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const draw = () => Array.from({ length: next(8) }, () => pieces[next(pieces.length)]).join('');
    for (let round = 0; round < 3000; round++) {
      const [prompt, negative_prompt] = [draw(), draw()];
      const file = insertPngText(png, { parameters: formatParameters({ ...base, prompt, negative_prompt }) });
      const text = readPngText(file).parameters!;
      const shown = { Steps: '20', Seed: '42', 'Size-1': '512', 'Size-2': '768' };
      expect(parseParameters(text)).toMatchObject({
        Prompt: prompt,
        'Negative prompt': negative_prompt,
        ...shown,
      });
      const webui = readAsWebUi(text);
      expect(webui.settings).toMatchObject({ Steps: '20', Seed: '42', Size: '512x768' });
      const plain = (given: string) =>
        Buffer.from(given.replace(/Negative prompt ?:|[\s\0]/g, '')).toString();
      expect(plain(webui.prompt)).toBe(plain(prompt));
      expect(plain(webui.negative)).toBe(plain(negative_prompt));
    }
  });

  it('reads a long hostile text quickly', () => {
    const begun = performance.now();
    for (const piece of ['a', ' ', 'a: "', 'ab:c,', 'a-']) parseParameters(`x\n${piece.repeat(2 ** 19)}`);
    expect(performance.now() - begun).toBeLessThan(10_000);
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

/** The WebUI's published parsing, written independently: lines are stripped, and the last one holds the settings. */
function readAsWebUi(text: string): { prompt: string; negative: string; settings: Record<string, string> } {
  const lines = text.trim().split('\n');
  const last = lines.pop()!;
  const at = lines.findIndex((line) => line.trim().startsWith('Negative prompt:'));
  const cut = at < 0 ? lines.length : at;
  const strip = (part: string[]) =>
    part.map((line) => line.trim().replace(/^Negative prompt:/, '')).join('\n');
  const pairs = last.matchAll(/\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g);
  const settings = Object.fromEntries([...pairs].map(([, key, value]) => [key, value]));
  return { prompt: strip(lines.slice(0, cut)), negative: strip(lines.slice(cut)), settings };
}
