// The two sets of names for the parts of a Stable Diffusion UNet: LDM (the network's own) and diffusers.

export interface UnetLayout {
  levels: number;
  /** Residual blocks of a level in the encoder half; the decoder half has one more. */
  resBlocks: number;
  /** Levels with transformers. */
  attention: boolean[];
}

/** A module's path in diffusers' names and in LDM's. Everything below it has the same name in both. */
export type ModulePair = readonly [diffusers: string, ldm: string];

const residual: ModulePair[] = [
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['time_emb_proj', 'emb_layers.1'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['conv_shortcut', 'skip_connection'],
];

const singles: ModulePair[] = [
  ['conv_in', 'input_blocks.0.0'],
  ['time_embedding.linear_1', 'time_embed.0'],
  ['time_embedding.linear_2', 'time_embed.2'],
  ['time_embedding.cond_proj', 'time_embed.cond_proj'],
  ['add_embedding.linear_1', 'label_emb.0.0'],
  ['add_embedding.linear_2', 'label_emb.0.2'],
  ['mid_block.attentions.0', 'middle_block.1'],
  ['conv_norm_out', 'out.0'],
  ['conv_out', 'out.2'],
];

export function unetModulePairs({ levels, resBlocks, attention }: UnetLayout): ModulePair[] {
  const pairs = [...singles, ...residualPairs('mid_block.resnets.0', 'middle_block.0')];
  pairs.push(...residualPairs('mid_block.resnets.1', 'middle_block.2'));
  for (let level = 0; level < levels; level++) {
    const first = 1 + level * (resBlocks + 1);
    for (let block = 0; block < resBlocks; block++) {
      pairs.push(
        ...residualPairs(`down_blocks.${level}.resnets.${block}`, `input_blocks.${first + block}.0`),
      );
      pairs.push([`down_blocks.${level}.attentions.${block}`, `input_blocks.${first + block}.1`]);
    }
    pairs.push([`down_blocks.${level}.downsamplers.0.conv`, `input_blocks.${first + resBlocks}.0.op`]);
  }
  for (let up = 0; up < levels; up++) {
    const first = up * (resBlocks + 1);
    for (let block = 0; block <= resBlocks; block++) {
      pairs.push(...residualPairs(`up_blocks.${up}.resnets.${block}`, `output_blocks.${first + block}.0`));
      pairs.push([`up_blocks.${up}.attentions.${block}`, `output_blocks.${first + block}.1`]);
    }
    const place = attention[levels - 1 - up] ? 2 : 1;
    pairs.push([`up_blocks.${up}.upsamplers.0.conv`, `output_blocks.${first + resBlocks}.${place}.conv`]);
  }
  return pairs;
}

function residualPairs(diffusers: string, ldm: string): ModulePair[] {
  return residual.map(([from, to]) => [`${diffusers}.${from}`, `${ldm}.${to}`]);
}

/** Renames by the longest module path that contains a name; undefined for names outside all modules. */
export function renamer(pairs: readonly ModulePair[]): (name: string) => string | undefined {
  const modules = new Map(pairs);
  return (name) => {
    for (let end = name.lastIndexOf('.'); end > 0; end = name.lastIndexOf('.', end - 1)) {
      const module = modules.get(name.slice(0, end));
      if (module !== undefined) return module + name.slice(end);
    }
    return undefined;
  };
}
