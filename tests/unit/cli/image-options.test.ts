import { describe, expect, it } from 'vitest';
import { type ImageOptions, toFields } from '../../../src/cli/image-options.js';
import { createProgram } from '../../../src/cli/program.js';

/** The options that `imageforge generate` understands from these arguments. */
function parse(...args: string[]): ImageOptions {
  const generate = createProgram().commands.find((command) => command.name() === 'generate')!;
  generate.parseOptions(args);
  return generate.opts<ImageOptions>();
}

const fields = (...args: string[]) => JSON.parse(JSON.stringify(toFields('x', parse(...args))));

describe('options of generate', () => {
  it('has every option of flux generate; -h is the height', () => {
    expect(fields('-s', '35', '-g', '4.0', '-w', '1536', '-h', '1024', '--seed', '42')).toEqual({
      prompt: 'x',
      steps: 35,
      guidance: 4,
      width: 1536,
      height: 1024,
      seed: 42,
      use_cache: true,
    });
    expect(parse('-o', 'a.png', '--output-dir', 'b', '-i', '-v')).toMatchObject({
      output: 'a.png',
      outputDir: 'b',
      interactive: true,
      verbose: true,
    });
  });

  it('names the parts of a model', () => {
    expect(
      fields('-m', 'a.gguf', '--vae', 'v', '--clip-l', 'l', '--clip-g', 'g', '--t5xxl', 't', '--llm', 'q'),
    ).toMatchObject({
      model: 'a.gguf',
      vae: 'v',
      clip_l: 'l',
      clip_g: 'g',
      t5xxl: 't',
      llm: 'q',
    });
  });

  it('reads LoRAs with their strengths', () => {
    expect(fields('--lora', 'a.safetensors', '--lora', 'C:\\b.safetensors:0.8').loras).toEqual([
      { path: 'a.safetensors', strength: 1 },
      { path: 'C:\\b.safetensors', strength: 0.8 },
    ]);
  });

  it('leaves what is no number to the schema', () => {
    expect(fields('-s', 'many', '--seed', '-1', '-g', '1e1', '--no-cache')).toMatchObject({
      steps: 'many',
      seed: -1,
      guidance: 10,
      use_cache: false,
    });
  });
});
