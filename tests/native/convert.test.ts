// Conversion against ggml's own quantisation, the published meaning of each source type, and everything that it must
// refuse. Whole models go through the planner again.
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, describe, expect, it, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { toBytes } from '../../scripts/fixtures/fp8.mjs';
// @ts-expect-error plain JavaScript
import { readSafetensors, writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { convertModel } from '../../src/families/convert-model.js';
import { inspectFile } from '../../src/families/inspect.js';
import { loadAddon } from '../../src/native/binding.js';
import { hostLabel } from '../../src/shared/processes.js';
import { loadTokenizer } from '../../src/text/load-tokenizer.js';
import { convertWeights, type SourceTensor } from '../../src/weights/convert.js';
import { readTensorRule } from '../../src/weights/convert-rules.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { goldenCase } from '../golden.js';
import { safetensors } from '../unit/weights/make-files.js';
import { randomFloats } from './tiny-clip.js';

const { quantize } = loadAddon();
const folder = mkdtempSync(join(tmpdir(), 'imageforge-convert-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = (ending = 'gguf') => join(folder, `${files++}.${ending}`);

/** One tensor alone in a file. */
function write(name: string, type: string, shape: number[], data: ArrayBufferView): SourceTensor {
  const path = newPath('bin');
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  writeFileSync(path, bytes);
  return { name, type, shape, path, offset: 0, bytes: bytes.length };
}

async function convert(
  tensors: SourceTensor[],
  type: string,
  more: object = {},
): Promise<Map<string, { type: string; bytes: Buffer }>> {
  const output = newPath();
  await convertWeights({ tensors, output, type, metadata: new Map(), ...more });
  return readTensors(output);
}

async function readTensors(path: string): Promise<Map<string, { type: string; bytes: Buffer }>> {
  const data = readFileSync(path);
  const { tensors } = await readWeightFile(path);
  return new Map(
    [...tensors.values()].map(({ name, type, offset, bytes }) => [
      name,
      { type, bytes: data.subarray(offset, offset + bytes) },
    ]),
  );
}

async function convertValues(
  type: string,
  stored: ArrayBufferView,
  count: number,
  scale?: number,
): Promise<number[]> {
  const source = write('x', type, [1, count], stored);
  const found = await convert([{ ...source, ...(scale !== undefined && { scale }) }], 'f32');
  return [...new Float32Array(Uint8Array.from(found.get('x')!.bytes).buffer)];
}

describe('values', () => {
  it('are quantised as ggml does, bit for bit, over more than one chunk', async () => {
    const values = randomFloats(2100 * 512);
    const source = write('blocks.0.attn.weight', 'f32', [2100, 512], values);
    for (const type of ['q8_0', 'q5_1', 'q4_0', 'q4_k', 'q6_k', 'iq4_nl', 'f16', 'bf16']) {
      const found = (await convert([source], type)).get(source.name)!;
      expect(found.type).toBe(type);
      expect(found.bytes.equals(quantize(type, values, 512)), type).toBe(true);
    }
  });

  it('of kernels are quantised along their channels, and the file says so', async () => {
    const [out, channels, taps] = [70, 96, 9];
    const values = randomFloats(out * channels * taps);
    const source = write('blocks.0.conv.weight', 'f32', [out, channels, 3, 3], values);
    const output = newPath();
    await convertWeights({ tensors: [source], output, type: 'q8_0', metadata: new Map() });
    const ordered = Float32Array.from({ length: values.length }, (_, i) => {
      const [row, tap, channel] = [
        Math.floor(i / (taps * channels)),
        Math.floor(i / channels) % taps,
        i % channels,
      ];
      return values[(row * channels + channel) * taps + tap]!;
    });
    const blocks = quantize('q8_0', ordered, channels);
    expect((await readTensors(output)).get(source.name)!.bytes.equals(blocks)).toBe(true);
    const file = await readWeightFile(output);
    expect(file.metadata.get('imageforge.kernel_order')).toBe('out,taps,in');
    expect(file.tensors.get(source.name)).toMatchObject({ shape: source.shape, tapsFirst: true });

    // what is stored so already is copied
    const { tensors } = file;
    const copy = newPath();
    const again = { ...tensors.get(source.name)!, path: output };
    await convertWeights({ tensors: [again], output: copy, type: 'q8_0', metadata: new Map() });
    expect((await readTensors(copy)).get(source.name)!.bytes.equals(blocks)).toBe(true);
    expect((await readWeightFile(copy)).tensors.get(source.name)!.shape).toEqual(source.shape);
  });

  it('become the q8_0 blocks of the gguf package', async () => {
    const file = resolve(import.meta.dirname, '../fixtures/q8_0/blocks.json');
    const { shape, values, q8_0 } = JSON.parse(readFileSync(file, 'utf8'));
    const source = write('w', 'f32', shape, Buffer.from(values, 'base64'));
    const found = await convert([source], 'q8_0', { rules: [readTensorRule('^w$=q8_0')] });
    expect(found.get('w')!.bytes.equals(Buffer.from(q8_0, 'base64'))).toBe(true);
  });

  it('of every float type are read right', async () => {
    const e4m3 = Uint8Array.of(0x00, 0x80, 0x01, 0x08, 0x38, 0xb9, 0x7e, 0xfe);
    expect(await convertValues('f8_e4m3', e4m3, 8)).toEqual([0, -0, 2 ** -9, 2 ** -6, 1, -1.125, 448, -448]);
    expect(await convertValues('f8_e4m3', e4m3.subarray(4, 6), 2, 0.5)).toEqual([0.5, -0.5625]);
    const e5m2 = Uint8Array.of(0x00, 0x01, 0x04, 0x3c, 0xbd, 0x7b);
    expect(await convertValues('f8_e5m2', e5m2, 6)).toEqual([0, 2 ** -16, 2 ** -14, 1, -1.25, 57344]);
    const bf16 = Uint16Array.of(0x3f80, 0xc049, 0x7f7f, 0x0001);
    expect(await convertValues('bf16', bf16, 4)).toEqual([
      1, -3.140625, 3.3895313892515355e38, 9.183549615799121e-41,
    ]);
    const f16 = Uint16Array.of(0x3c00, 0xc248, 0x0001, 0x7bff);
    expect(await convertValues('f16', f16, 4)).toEqual([1, -3.140625, 2 ** -24, 65504]);
    expect(await convertValues('f64', Float64Array.of(1.5, 1e-3), 2)).toEqual([1.5, Math.fround(1e-3)]);
  });

  it('that a type cannot hold are refused by name, and leave no file', async () => {
    const output = newPath();
    for (const bad of [Number.NaN, Infinity, 70000]) {
      const values = randomFloats(64 * 64);
      values[100] = bad;
      const source = write('layer.weight', 'f32', [64, 64], values);
      await expect(
        convertWeights({ tensors: [source], output, type: 'q8_0', metadata: new Map() }),
      ).rejects.toMatchObject({ code: 'WEIGHTS_INVALID', message: expect.stringContaining('layer.weight') });
    }
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('files', () => {
  const source = () => write('layer.weight', 'f32', [64, 64], randomFloats(64 * 64));
  const run = (tensors: SourceTensor[], output: string, more: object = {}) =>
    convertWeights({ tensors, output, type: 'q8_0', metadata: new Map(), ...more });

  it('are never replaced unasked', async () => {
    const output = newPath();
    writeFileSync(output, 'precious');
    await expect(run([source()], output)).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
      hint: expect.stringContaining('--force'),
    });
    expect(readFileSync(output, 'utf8')).toBe('precious');
    await run([source()], output, { force: true });
    expect((await readWeightFile(output)).tensors.size).toBe(1);
  });

  it('that came up meanwhile stay', async () => {
    const output = newPath();
    const onProgress = () => writeFileSync(output, 'precious');
    await expect(run([source()], output, { onProgress })).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
    });
    expect(readFileSync(output, 'utf8')).toBe('precious');
  });

  it('are not converted onto themselves, nor into places that are not there', async () => {
    const one = source();
    await expect(run([one], one.path, { force: true })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(run([one], join(folder, 'nowhere', 'a.gguf'))).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
    });
    await expect(run([one], folder)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
  });

  it('that would fill the disk are refused before anything is written', async () => {
    const huge = { ...source(), shape: [2 ** 40, 1024] };
    const output = newPath();
    await expect(run([huge], output)).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(existsSync(output)).toBe(false);
  });

  it('that a killed conversion left are swept by the next one', async () => {
    const left = join(folder, `.imageforge-${hostLabel()}.${2 ** 22 + 1}.0123456789ab.tmp`);
    writeFileSync(left, 'half a model');
    await run([source()], newPath());
    expect(existsSync(left)).toBe(false);
  });

  it('are given up when the signal says so', async () => {
    const output = newPath();
    const controller = new AbortController();
    const onProgress = ({ phase }: { phase: string }) => {
      if (phase === 'convert') controller.abort();
    };
    await expect(
      run([source(), { ...source(), name: 'next.weight' }], output, {
        signal: controller.signal,
        onProgress,
      }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
    expect(readdirSync(folder).filter((name) => name.startsWith(basename(output)))).toEqual([]);
  });
});

describe('models', () => {
  const mistral = goldenCase('flux2-text-mistral');
  it("keep the tokenizer of ComfyUI's Mistral", async () => {
    const fixture = (name: string) => readFileSync(resolve('tests/fixtures/tokenizers', name));
    const tensors = readSafetensors(mistral.weights('safetensors'));
    const input = newPath('safetensors');
    writeSafetensors(input, new Map([...tensors, ['tekken_model', toBytes(fixture('tekken.json'))]]));
    const output = newPath();
    const { leftOut } = await convertModel({ input, output, type: 'f16' });
    expect(leftOut).toEqual([]);
    const tokenizer = await loadTokenizer(await readWeightFile(output), { what: '', published: '' });
    const texts: { text: string; tekken: number[] }[] = JSON.parse(String(fixture('hard-texts.json')));
    expect(texts.map(({ text }) => tokenizer.encode(text))).toEqual(texts.map(({ tekken }) => tekken));
  });

  const golden = goldenCase('e2e-sd1');

  it('keep what identifies them', async () => {
    const input = golden.weights();
    const output = newPath();
    const result = await convertModel({
      input,
      output,
      type: 'q8_0',
      rules: [readTensorRule('attn2\\.to_v=q4_0')],
    });
    const file = await readWeightFile(output);
    const hash = createHash('sha256').update(readFileSync(input)).digest('hex');
    expect(file.metadata.get('imageforge.source.sha256')).toBe(hash);
    expect(file.metadata.get('imageforge.source.file')).toBe(basename(input));
    expect(file.metadata.get('general.architecture')).toBe('sd1');
    expect(result.bytes).toBe(file.size);
    const [before, after] = [await inspectFile(input), await inspectFile(output)];
    expect(after.family).toBe(before.family);
    expect(after.name).toBe(before.name);
    expect(after.plan?.defaults).toEqual(before.plan?.defaults);
    expect(after.networks.map(({ kind, parameters }) => [kind, parameters])).toEqual(
      before.networks.map(({ kind, parameters }) => [kind, parameters]),
    );
    for (const { name, type, shape } of file.tensors.values()) {
      if (shape.length === 1) expect(type, name).toMatch(/^(f32|i64)$/);
      if (name.includes('attn2.to_v')) expect(type, name).toBe('q4_0');
      if (name.startsWith('first_stage_model.') && shape.length > 1) expect(type, name).toBe('f16');
    }

    // what is quantised already is not lowered further
    const again = newPath();
    await expect(convertModel({ input: output, output: again, type: 'q4_0' })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('is q8_0 already'),
    });
  });

  const pocket = resolve(import.meta.dirname, '../../models/pocket.gguf');
  const reason = existsSync(pocket) ? '' : '(skipped: the embedded model is missing)';
  test.skipIf(reason !== '')(`from GGUF keep every key, arrays too ${reason}`, async () => {
    const input = pocket;
    const output = newPath();
    await convertModel({ input, output, type: 'f16' });
    const [before, after] = [await readWeightFile(input), await readWeightFile(output)];
    for (const [key, value] of before.metadata)
      if (key !== 'general.file_type' && key !== 'general.alignment')
        expect(after.metadata.get(key), key).toEqual(value);
    expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
  });

  it('in shards become the same file', async () => {
    const input = golden.weights();
    const data = readFileSync(input);
    const whole = await readWeightFile(input);
    const shards = mkdtempSync(join(folder, 'shards-'));
    const weightMap: Record<string, string> = {};
    const names = [...whole.tensors.keys()];
    for (const [i, part] of [names.slice(0, 100), names.slice(100)].entries()) {
      const header: Record<string, object> = {};
      const pieces: Buffer[] = [];
      let at = 0;
      for (const name of part) {
        const { type, shape, offset, bytes } = whole.tensors.get(name)!;
        header[name] = { dtype: type.toUpperCase(), shape, data_offsets: [at, at + bytes] };
        pieces.push(data.subarray(offset, offset + bytes));
        weightMap[name] = `part-${i}.safetensors`;
        at += bytes;
      }
      writeFileSync(join(shards, `part-${i}.safetensors`), safetensors(header, Buffer.concat(pieces)));
    }
    const index = join(shards, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ weight_map: weightMap }));
    const [one, two] = [newPath(), newPath()];
    await convertModel({ input, output: one, type: 'q5_0' });
    const { sha256 } = await convertModel({ input: index, output: two, type: 'q5_0' });
    const found = await readTensors(two);
    for (const [name, { type, bytes }] of await readTensors(one)) {
      expect(found.get(name)?.type, name).toBe(type);
      expect(found.get(name)!.bytes.equals(bytes), name).toBe(true);
    }
    const { metadata } = await readWeightFile(two);
    expect(sha256).toHaveLength(2);
    expect(metadata.get('imageforge.source.sha256')).toBe(sha256.join(','));
    expect(metadata.get('imageforge.source.file')).toBe('part-0.safetensors,part-1.safetensors');
  });

  it('that are none are refused', async () => {
    const entry = (end: number, begin = 0) => ({
      dtype: 'F32',
      shape: [(end - begin) / 4],
      data_offsets: [begin, end],
    });
    const make = (names: string[]) => {
      const path = newPath('safetensors');
      const header = Object.fromEntries(names.map((name, i) => [name, entry(4 * i + 4, 4 * i)]));
      writeFileSync(path, safetensors(header, Buffer.alloc(4 * names.length)));
      return path;
    };
    const output = newPath();
    const lora = make(['lora_unet_x.lora_up.weight', 'lora_unet_x.lora_down.weight']);
    await expect(convertModel({ input: lora, output, type: 'q8_0' })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('LoRA'),
    });
    const unknown = make(['some.weight']);
    await expect(convertModel({ input: unknown, output, type: 'q8_0' })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
    await expect(convertModel({ input: unknown, output, type: 'q4_k_m' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: expect.stringContaining('q4_k'),
    });
    await expect(
      convertModel({ input: unknown, output: 'x.safetensors', type: 'q8_0' }),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(convertModel({ input: folder, output, type: 'q8_0' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
