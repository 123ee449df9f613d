// Prompts that change, combine and weigh, through a whole model: ComfyUI's states against a fixture that is worked out
// apart, and schedules against the same picture made of plain prompts, one step at a time.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planModel } from '../../src/families/index.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { assertClose, maxDifference, ownCase, readTensors, relativeDifference } from '../golden.js';
import { useModel } from './use-model.js';

const [width, height] = [64, 64];
const guidance = 5;

describe('ComfyUI’s text states', () => {
  // what the fixture was made from, whatever golden cases are chosen
  const own = ownCase('e2e-sd1');
  const expected = readTensors(join(import.meta.dirname, '../fixtures/prompt-syntax/expected.safetensors'));
  let model: LoadedModel;
  beforeAll(async () => {
    const files = { model: own.weights() };
    const engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    const textHeads = own.config<{ heads: number }>('text').heads;
    model = new LoadedModel(engine, files, await planModel(files, { textHeads }));
  });
  afterAll(async () => {
    await model?.close();
    await model?.engine.close();
  });

  const states = async (prompt: string, clipSkip = 1) => {
    const words = { prompt, negativePrompt: '', guidance: 1, clipSkip, width, height };
    return (await model.encodePrompts({ ...words, syntax: 'comfy' }, undefined)).positive.context.data;
  };

  it.each<[string, string, number]>([
    ['weighted', 'a red fox in the snow, (detailed:1.2) fur', 1],
    ['nested', 'a ((red) fox:0.5) in the snow, (detailed fur)', 1],
    ['weighted_skip2', 'a red fox in the snow, (detailed:1.2) fur', 2],
  ])('%s: weights reach from the empty prompt', async (name, prompt, clipSkip) => {
    assertClose(await states(prompt, clipSkip), expected.get(name)!.data, { rel_l2: 2e-3 });
  });
});

describe('prompt syntax', () => {
  const model = useModel();

  async function run(change: Partial<GenerationOptions>) {
    const request = resolveRequest(
      {
        ...{ prompt: '', negativePrompt: 'blurry', width, height, steps: 4, guidance, seed: 3 },
        ...{ sampler: 'euler', schedule: 'normal', noise: 'torch' },
        ...change,
      },
      model().files,
      model().plan,
    );
    const seen: { x: Float32Array; denoised: Float32Array }[] = [];
    const latents: Float32Array[] = [];
    const result = await generate(model(), request, {
      onStep: (_, x, denoised) => seen.push({ x: x.slice(), denoised: denoised.slice() }),
      onLatent: (_, latent) => latents.push(latent),
    });
    return { steps: seen, denoised: seen.map(({ denoised }) => denoised), latents, notes: result.notes };
  }

  it('leaves square brackets, schedules and AND as words, and says so', async () => {
    const { notes } = await run({ prompt: 'a [cat|dog] AND a [bird]', promptSyntax: 'comfy', steps: 1 });
    expect(notes).toEqual([
      expect.stringMatching(/^\[cat\|dog\] is taken as words/),
      expect.stringMatching(/^AND is taken as words/),
    ]);
  });

  it('takes every bracket as a word in plain syntax', async () => {
    const encode = async (prompt: string, syntax: 'plain' | 'webui') => {
      const words = { prompt, negativePrompt: '', guidance: 1, clipSkip: 1, width, height };
      return (await model().encodePrompts({ ...words, syntax }, undefined)).positive.context.data;
    };
    const plain = await encode('a (fox:1.3)', 'plain');
    expect(maxDifference(plain, await encode('a \\(fox:1.3\\)', 'webui'))).toBe(0);
    expect(relativeDifference(plain, await encode('a (fox:1.3)', 'webui'))).toBeGreaterThan(0.01);
  });

  it('changes the conditioning after the step that a schedule names', async () => {
    const cat = await run({ prompt: 'a cat' });
    const dog = await run({ prompt: 'a dog' });
    const both = await run({ prompt: 'a [cat:dog:0.5]' });
    expect(both.denoised.slice(0, 2)).toEqual(cat.denoised.slice(0, 2));
    expect(relativeDifference(both.denoised[2]!, cat.denoised[2]!)).toBeGreaterThan(1e-4);
    expect((await run({ prompt: 'a [cat:dog:4]' })).denoised).toEqual(cat.denoised);
    expect((await run({ prompt: 'a [cat:dog:0]' })).denoised).toEqual(dog.denoised);
  });

  it('takes turns step by step, in both prompts', async () => {
    const turns = await run({ prompt: 'a [cat|dog]', negativePrompt: '[blurry|ugly]' });
    const same = await run({ prompt: 'a [cat|cat]', negativePrompt: '[blurry|blurry]' });
    const plain = await run({ prompt: 'a cat', negativePrompt: 'blurry' });
    expect(same.denoised).toEqual(plain.denoised);
    expect(turns.denoised[0]).toEqual(plain.denoised[0]);
    expect(relativeDifference(turns.denoised[1]!, plain.denoised[1]!)).toBeGreaterThan(1e-4);
    const late = await run({ prompt: 'a [cat:[dog:cat:2]:1]', negativePrompt: '[blurry:[ugly:blurry:2]:1]' });
    expect(late.denoised.slice(0, 3)).toEqual(turns.denoised.slice(0, 3));
  });

  it('counts the steps of samplers that look twice in a step', async () => {
    const heun = { sampler: 'heun', steps: 3 };
    const cat = await run({ ...heun, prompt: 'a cat' });
    const both = await run({ ...heun, prompt: 'a [cat:dog:2]' });
    expect(both.denoised.slice(0, 2)).toEqual(cat.denoised.slice(0, 2));
    expect(both.steps[1]!.x).toEqual(cat.steps[1]!.x);
    expect(both.denoised[2]).not.toEqual(cat.denoised[2]);
  });

  it('goes on counting in the second pass', async () => {
    const hires = { steps: 2, scale: 2, strength: 0.5 };
    const change = { steps: 2, hires };
    const cat = await run({ ...change, prompt: 'a cat' });
    const later = await run({ ...change, prompt: 'a [cat:dog:1.5]' });
    expect(cat.denoised).toHaveLength(4);
    expect(later.denoised.slice(0, 3)).toEqual(cat.denoised.slice(0, 3));
    expect(later.denoised[3]).not.toEqual(cat.denoised[3]);
    const steps = await run({ ...change, prompt: 'a [cat:dog:3]' });
    expect(steps.denoised).toEqual(later.denoised);
    const earlier = await run({ ...change, prompt: 'a [cat:dog:0.5]' });
    const dog = await run({ ...change, prompt: 'a dog' });
    expect(earlier.denoised[0]).toEqual(cat.denoised[0]);
    expect(earlier.denoised[1]).not.toEqual(cat.denoised[1]);
    expect(relativeDifference(earlier.denoised[3]!, dog.denoised[3]!)).toBeLessThan(1);
  });

  it('combines prompts: negative + guidance * the sum of weight * (positive - negative)', async () => {
    const first = async (prompt: string, scale: number) =>
      (await run({ prompt, guidance: scale, steps: 1 })).denoised[0]!;
    const [cat, dog] = [await first('a cat', 1), await first('a dog', 1)];
    const negative = await first('blurry', 1);
    const expected = negative.map(
      (value, i) => value + guidance * (0.7 * (cat[i]! - value) + -0.4 * (dog[i]! - value)),
    );
    assertClose(await first('a cat :0.7 AND a dog:-0.4', guidance), expected, { rel_l2: 1e-3 });
    // where the single prompt needs no negative one, the sum still does
    const plain = negative.map((value, i) => value + (cat[i]! - value) + (dog[i]! - value));
    assertClose(await first('a cat AND a dog', 1), plain, { rel_l2: 1e-3 });
    assertClose(await first('a cat AND a dog', 0), plain, { rel_l2: 1e-3 });
  });

  it('encodes each distinct text once', async () => {
    const asked: (readonly string[])[] = [];
    const loaded = model();
    const original = loaded.runtime.encodeTexts;
    const spied = loaded.runtime as { encodeTexts: typeof original };
    spied.encodeTexts = (encoders, plan, request, learned) => {
      asked.push(request.prompts);
      return original(encoders, plan, request, learned);
    };
    try {
      await run({ prompt: 'one [two|three] once', batch: 2, steps: 4, hires: { steps: 2 } });
    } finally {
      spied.encodeTexts = original;
    }
    expect(asked).toEqual([['one two once', 'one three once']]);
  });

  it('gives each picture of a batch its own prompts', async () => {
    const pictures = [
      { prompt: 'a cat', negativePrompt: 'blurry' },
      { prompt: 'a dog', negativePrompt: 'ugly' },
    ];
    const { latents } = await run({ batch: 2, pictures, steps: 2 });
    const cat = await run({ prompt: 'a cat', steps: 2 });
    const dog = await run({ prompt: 'a dog', negativePrompt: 'ugly', seed: 4, steps: 2 });
    expect(latents).toEqual([cat.latents[0], dog.latents[0]]);
  });

  it('makes the unconditional picture of an empty prompt', async () => {
    const guided = await run({ prompt: '', negativePrompt: '', steps: 2 });
    const alone = await run({ prompt: '', negativePrompt: '', guidance: 1, steps: 2 });
    assertClose(guided.latents[0]!, alone.latents[0]!, { rel_l2: 1e-4 });
    const spaces = await run({ prompt: '  ', negativePrompt: '', guidance: 1, steps: 2 });
    expect(spaces.latents).toEqual(alone.latents);
  });

  it('says what it takes as words', async () => {
    const once = { steps: 1 };
    expect((await run({ ...once, prompt: 'at 10:30' })).notes).toEqual([
      expect.stringMatching(/^:30 at the end of the prompt is taken as words/),
    ]);
    expect((await run({ ...once, prompt: 'a', negativePrompt: 'b AND c' })).notes).toEqual([
      'AND is a word in a negative prompt.',
    ]);
    expect((await run({ ...once, prompt: 'a | b [cat:dog:0.5]' })).notes).toEqual([
      expect.stringMatching(/^A \| outside of \[a\|b\]/),
    ]);
    expect((await run({ ...once, prompt: 'a [cat:dog:0.5] AND b', negativePrompt: '' })).notes).toEqual([]);
    expect((await run({ ...once, prompt: 'at 10:30 AND', promptSyntax: 'plain' })).notes).toEqual([]);
  });
});
