import { describe, expect, it } from 'vitest';
import { type ImageOptions, readOptions } from '../../../src/cli/image-options.js';
import { createProgram } from '../../../src/cli/program.js';
import { createRequestSchemas } from '../../../src/service/request/schema.js';

/** The options that `imageforge generate` parses from these arguments. */
async function parse(...args: string[]): Promise<ImageOptions> {
  const program = await createProgram(['generate']);
  const generate = program.commands.find((command) => command.name() === 'generate')!;
  generate.parseOptions(args);
  return generate.opts<ImageOptions>();
}

const fields = async (...args: string[]) =>
  JSON.parse(JSON.stringify(readOptions('generate', 'x', await parse(...args))));

describe('options of generate', () => {
  it('has every option of flux generate; -h is the height', async () => {
    expect(await fields('-s', '35', '-g', '4.0', '-w', '1536', '-h', '1024', '--seed', '42')).toEqual({
      prompt: 'x',
      steps: 35,
      guidance: 4,
      width: 1536,
      height: 1024,
      seed: 42,
      use_cache: true,
    });
    expect(await parse('-o', 'a.png', '--output-dir', 'b', '-i', '-v')).toMatchObject({
      output: 'a.png',
      outputDir: 'b',
      interactive: true,
      verbose: true,
    });
  });

  it('names the parts of a model', async () => {
    expect(
      await fields(
        '-m',
        'a.gguf',
        '--vae',
        'v',
        '--clip-l',
        'l',
        '--clip-g',
        'g',
        '--t5xxl',
        't',
        '--llm',
        'q',
      ),
    ).toMatchObject({
      model: 'a.gguf',
      vae: 'v',
      clip_l: 'l',
      clip_g: 'g',
      t5xxl: 't',
      llm: 'q',
    });
  });

  it('reads LoRAs with their strengths', async () => {
    expect(
      await fields(
        '--lora',
        'a.safetensors',
        '--lora',
        'C:\\b.safetensors:0.8',
        '--lora',
        'C:\\c:0.8:-.5',
        '--lora',
        'd:1:0',
      ),
    ).toMatchObject({
      loras: [
        { path: 'a.safetensors', strength: 1 },
        { path: 'C:\\b.safetensors', strength: 0.8 },
        { path: 'C:\\c:0.8:-.5', strength: 1 },
        { path: 'd', strength: 1, text_strength: 0 },
      ],
    });
  });

  it('leaves text that is not a number to the schema', async () => {
    expect(await fields('-s', 'many', '--seed', '-1', '-g', '1e1', '--no-cache')).toMatchObject({
      steps: 'many',
      seed: -1,
      guidance: 10,
      use_cache: false,
    });
  });

  it('keeps every digit of a seed', async () => {
    const seed = async (text: string) => (await fields('--seed', text)).seed;
    expect(await seed('9007199254740991')).toBe(9007199254740991);
    expect(await seed('9007199254740993')).toBe('9007199254740993');
    expect(await seed('18446744073709551615')).toBe('18446744073709551615');
    expect(await seed('1.5')).toBe('1.5');
  });

  it('has an option for every field that a user has no other way to give', async () => {
    const { shape } = createRequestSchemas({ maxRes: 1024 }).inpaint;
    const reached = Object.keys(readOptions('inpaint', 'x', {}));
    const otherwise = [
      'init_image',
      'init_image_path',
      'image_path',
      'mask_image',
      'mask_image_path',
      'mask_path',
      'guidance_scale',
      'scheduler',
      'assist',
      'reference_images',
      'control_image',
      'return_mode',
      'preview_every',
    ];
    expect([...reached, ...otherwise].sort()).toEqual(Object.keys(shape).sort());
  });

  it('lists the choices of the schema, and takes no others', async () => {
    const program = await createProgram(['edit']);
    const edit = program.commands.find((command) => command.name() === 'edit')!;
    expect(edit.helpInformation()).toMatch(/--strength <n>\s+0 keeps the original.*default\s+0\.6/s);
    expect(() => edit.exitOverride().parse(['x', 'y', '--noise', 'loud'], { from: 'user' })).toThrow(
      /philox/,
    );
    expect(edit.helpInformation()).not.toContain('--hires-scale');
  });
});
