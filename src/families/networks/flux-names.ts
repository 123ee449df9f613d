// The two sets of names for the parts of the FLUX transformers: BFL (the network's own) and diffusers, which keeps
// queries, keys and values apart where BFL has one matrix.

export interface FluxModule {
  diffusers: string;
  bfl: string;
  /** First row that this module fills in a fused matrix, in units of the network's width. */
  row?: number;
  /** How many such units it fills; default: 1. */
  units?: number;
  /** Its two halves are in the other order. */
  swapped?: boolean;
}

export interface FluxBlocks {
  generation: 1 | 2;
  doubleBlocks: number;
  singleBlocks: number;
}

export function fluxModules({ generation, doubleBlocks, singleBlocks }: FluxBlocks): FluxModule[] {
  const modules = generation === 1 ? outer1() : outer2();
  modules.push(
    module('context_embedder', 'txt_in'),
    module('x_embedder', 'img_in'),
    { ...module('norm_out.linear', 'final_layer.adaLN_modulation.1'), swapped: true },
    module('proj_out', 'final_layer.linear'),
  );
  for (let i = 0; i < doubleBlocks; i++) modules.push(...doubleBlock(generation, i));
  for (let i = 0; i < singleBlocks; i++) modules.push(...singleBlock(generation, i));
  return modules;
}

function module(diffusers: string, bfl: string, row?: number): FluxModule {
  return { diffusers, bfl, ...(row !== undefined && { row }) };
}

function embedder(diffusers: string, bfl: string): FluxModule[] {
  return [
    module(`${diffusers}.linear_1`, `${bfl}.in_layer`),
    module(`${diffusers}.linear_2`, `${bfl}.out_layer`),
  ];
}

function outer1(): FluxModule[] {
  return [
    ...embedder('time_text_embed.timestep_embedder', 'time_in'),
    ...embedder('time_text_embed.guidance_embedder', 'guidance_in'),
    ...embedder('time_text_embed.text_embedder', 'vector_in'),
  ];
}

function outer2(): FluxModule[] {
  return [
    ...embedder('time_guidance_embed.timestep_embedder', 'time_in'),
    ...embedder('time_guidance_embed.guidance_embedder', 'guidance_in'),
    ...['double_stream_modulation_img', 'double_stream_modulation_txt', 'single_stream_modulation'].map(
      (name) => module(`${name}.linear`, `${name}.lin`),
    ),
  ];
}

function doubleBlock(generation: 1 | 2, index: number): FluxModule[] {
  const [from, to] = [`transformer_blocks.${index}`, `double_blocks.${index}`];
  const [first, second] = generation === 1 ? ['net.0.proj', 'net.2'] : ['linear_in', 'linear_out'];
  const modules = [
    ...['to_q', 'to_k', 'to_v'].map((name, row) => module(`${from}.attn.${name}`, `${to}.img_attn.qkv`, row)),
    ...['add_q_proj', 'add_k_proj', 'add_v_proj'].map((name, row) =>
      module(`${from}.attn.${name}`, `${to}.txt_attn.qkv`, row),
    ),
    module(`${from}.attn.norm_q`, `${to}.img_attn.norm.query_norm`),
    module(`${from}.attn.norm_k`, `${to}.img_attn.norm.key_norm`),
    module(`${from}.attn.norm_added_q`, `${to}.txt_attn.norm.query_norm`),
    module(`${from}.attn.norm_added_k`, `${to}.txt_attn.norm.key_norm`),
    module(`${from}.attn.to_out.0`, `${to}.img_attn.proj`),
    module(`${from}.attn.to_add_out`, `${to}.txt_attn.proj`),
    module(`${from}.ff.${first}`, `${to}.img_mlp.0`),
    module(`${from}.ff.${second}`, `${to}.img_mlp.2`),
    module(`${from}.ff_context.${first}`, `${to}.txt_mlp.0`),
    module(`${from}.ff_context.${second}`, `${to}.txt_mlp.2`),
  ];
  if (generation === 1) {
    modules.push(module(`${from}.norm1.linear`, `${to}.img_mod.lin`));
    modules.push(module(`${from}.norm1_context.linear`, `${to}.txt_mod.lin`));
  }
  return modules;
}

function singleBlock(generation: 1 | 2, index: number): FluxModule[] {
  const [from, to] = [`single_transformer_blocks.${index}`, `single_blocks.${index}`];
  const norms = [
    module(`${from}.attn.norm_q`, `${to}.norm.query_norm`),
    module(`${from}.attn.norm_k`, `${to}.norm.key_norm`),
  ];
  if (generation === 2) {
    return [
      ...norms,
      module(`${from}.attn.to_qkv_mlp_proj`, `${to}.linear1`),
      module(`${from}.attn.to_out`, `${to}.linear2`),
    ];
  }
  return [
    ...norms,
    ...['attn.to_q', 'attn.to_k', 'attn.to_v', 'proj_mlp'].map((name, row) =>
      module(`${from}.${name}`, `${to}.linear1`, row),
    ),
    module(`${from}.proj_out`, `${to}.linear2`),
    module(`${from}.norm.linear`, `${to}.modulation.lin`),
  ];
}

/**
 * XLabs' LoRAs of FLUX.1 hang below attention processors: 1 is the picture's stream, 2 the text's. Of a single block's
 * first matrix they update queries, keys and values alone.
 */
export function xlabsModules({ doubleBlocks, singleBlocks }: FluxBlocks): FluxModule[] {
  const modules: FluxModule[] = [];
  for (let i = 0; i < doubleBlocks; i++)
    for (const [stream, number] of [
      ['img_attn', 1],
      ['txt_attn', 2],
    ] as const)
      for (const name of ['qkv', 'proj'])
        modules.push(
          module(
            `double_blocks.${i}.processor.${name}_lora${number}`,
            `double_blocks.${i}.${stream}.${name}`,
          ),
        );
  for (let i = 0; i < singleBlocks; i++)
    modules.push(
      { ...module(`single_blocks.${i}.processor.qkv`, `single_blocks.${i}.linear1`, 0), units: 3 },
      module(`single_blocks.${i}.processor.proj`, `single_blocks.${i}.linear2`),
    );
  return modules;
}
