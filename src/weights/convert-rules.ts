// Chooses the type that each tensor gets when a model is converted. The first of these rules that applies decides:
//   1. values that aren't weights stay as they are (integers) or are left out (masks, empty markers);
//   2. the user's own rules (--tensor-type PATTERN=TYPE), the first that matches;
//   3. vectors (biases, norms): f32, since they are small and added in F32;
//   4. layers that everything goes through once, the whole autoencoder, and tensors of fewer than 1024 values: f16, since
//      errors there cost more than the bytes are worth;
//   5. token tables: q8_0 at the smallest, since every backend can look up rows in that type; and convolution kernels:
//      a UNet has so few that smaller types would save little and cost more;
//   6. all others: the type that was asked for. Where a row isn't a whole number of its blocks, the nearest type of
//      at least its precision whose blocks fit, else f16. The rows of a square kernel are its channels: kernel-order.ts.
// Asking for f32, f16 or bf16 gives just that, but for the types of rule 3. What is quantised already in one of GGUF's types
// stays as it is or becomes floats; another rounding would add its error to that of the first.
import { ImageForgeError } from '../shared/errors.js';
import { isKernel } from './kernel-order.js';
import { blockOf, ggmlTypeNames } from './tensor-types.js';
import type { TensorForm } from './types.js';

/** Types to convert to: those that need no importance matrix. */
export const convertTypes: readonly string[] = [
  'f32',
  'f16',
  'bf16',
  'q8_0',
  'q6_k',
  'q5_k',
  'q5_1',
  'q5_0',
  'q4_k',
  'q4_1',
  'q4_0',
  'iq4_nl',
  'iq4_xs',
  'q3_k',
  'q2_k',
];

export interface TensorRule {
  /** Tested against the tensor's name in the file. */
  pattern: RegExp;
  type: string;
}

export interface StoredTensor extends TensorForm {
  name: string;
}

/** Reads the name of a type, in either case. Throws INVALID_ARGUMENT where it isn't one of convertTypes. */
export function readConvertType(text: string): string {
  const type = text.toLowerCase();
  if (convertTypes.includes(type)) return type;
  const family = convertTypes.find((known) => type.startsWith(`${known}_`));
  throw new ImageForgeError(
    'INVALID_ARGUMENT',
    `type: expected one of ${convertTypes.join(', ')}, found ${text}`,
    {
      ...(family && {
        hint: `${family} is the type; mixes of types are made with --tensor-type PATTERN=TYPE.`,
      }),
    },
  );
}

/** Reads "PATTERN=TYPE": a regular expression on names, and the type for the tensors that match. */
export function readTensorRule(text: string): TensorRule {
  const cut = text.lastIndexOf('=');
  if (cut <= 0) throw invalidRule(text, 'expected PATTERN=TYPE, for example "attn.*to_v=q8_0"');
  try {
    return { pattern: new RegExp(text.slice(0, cut), 'u'), type: readConvertType(text.slice(cut + 1)) };
  } catch (error) {
    if (error instanceof ImageForgeError) throw error;
    throw invalidRule(text, (error as Error).message);
  }
}

function invalidRule(text: string, why: string): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', `tensor type ${text}: ${why}`);
}

/** Whether the tensor is quantised in one of GGUF's types, so that its bytes can be copied. */
export function isQuantised({ type, scale, scales }: TensorForm): boolean {
  return ggufTypes.has(type) && blockOf(type) > 1 && scale === undefined && !scales;
}

const ggufTypes: ReadonlySet<string> = new Set(ggmlTypeNames.values());

/**
 * The type that a tensor gets; undefined where it is left out.
 * @throws ImageForgeError UNSUPPORTED for quantised tensors that would be rounded a second time
 */
export function chooseType(
  tensor: StoredTensor,
  wanted: string,
  rules: readonly TensorRule[],
): string | undefined {
  const { name, type, shape } = tensor;
  if (shape.includes(0)) return undefined;
  if (/^i(8|16|32|64)$/.test(type)) return type;
  if (/^u\d+$|^bool$|^c64$/.test(type)) return undefined;
  const rule = rules.find(({ pattern }) => pattern.test(name));
  const chosen = rule ? applyRule(rule.type, shape) : chooseByDefault(name, shape, wanted);
  if (!isQuantised(tensor)) return chosen;
  if (blockOf(wanted) === 1 && !rule) return chosen;
  const stays = chosen === type || (!rule && (wanted === type || isKept(name, shape)));
  if (stays) return type;
  if (blockOf(chosen) === 1) return chosen;
  throw new ImageForgeError(
    'UNSUPPORTED',
    `tensor ${name} is ${type} already; ${chosen} was expected of it`,
    {
      hint: 'Rounding twice adds both errors: convert the original F16, BF16 or F32 file.',
      details: { tensor: name, found: type, expected: chosen },
    },
  );
}

function applyRule(type: string, shape: readonly number[]): string {
  if (isVector(shape) && blockOf(type) > 1) return 'f32';
  return fitType(type, shape);
}

function chooseByDefault(name: string, shape: readonly number[], wanted: string): string {
  if (isVector(shape)) return 'f32';
  if (blockOf(wanted) === 1) return wanted;
  if (isKept(name, shape)) return 'f16';
  return fitType(tokenTable.test(name) || shape.length === 4 ? 'q8_0' : wanted, shape);
}

/** The next type to try where rows aren't whole blocks of 256. */
const fallbacks: Record<string, string> = {
  q2_k: 'q4_0',
  q3_k: 'q4_0',
  iq4_xs: 'iq4_nl',
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
};

function fitType(type: string, shape: readonly number[]): string {
  const row = (isKernel(shape) ? shape[1] : shape.at(-1)) ?? 1;
  for (let candidate: string | undefined = type; candidate !== undefined; candidate = fallbacks[candidate])
    if (row % blockOf(candidate) === 0) return candidate;
  return 'f16';
}

function isVector(shape: readonly number[]): boolean {
  return shape.length <= 1;
}

const smallest = 1024;
const tokenTable = /(^|\.)(token_embedding|token_embd|embed_tokens|shared|wte)(\.weight)?$/;

/** Names as in the original files, in diffusers and in llama.cpp. */
const kept: readonly RegExp[] = [
  // the first and last layers of denoisers, and what timestep, size and pooled text go through
  /(^|\.)(time_embed|label_emb|time_embedding|add_embedding|time_in|vector_in|guidance_in|img_in|txt_in)\./,
  /(^|\.)(x_embedder|context_embedder|time_text_embed|time_guidance_embed|final_layer|norm_out|conv_in|conv_out)\./,
  /^(transformer\.|model\.diffusion_model\.)?proj_out\.weight$/,
  // the text encoders'
  /(^|\.)(position_embedding|positional_embedding|relative_attention_bias|attn_rel_b|text_projection)\b/,
  // autoencoders, inside of a checkpoint and alone
  /(^|\.)(first_stage_model|vae)\./,
  /^(encoder|decoder)\.(mid|down|up|mid_block|down_blocks|up_blocks)\./,
  /^(encoder|decoder)\.(layers\.)?\d+\./,
];

function isKept(name: string, shape: readonly number[]): boolean {
  return (
    shape.reduce((product, size) => product * size, 1) < smallest ||
    kept.some((pattern) => pattern.test(name))
  );
}
