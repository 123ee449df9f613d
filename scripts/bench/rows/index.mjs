// The models that the benchmark knows. One file each: a name, `listRows({ types, sizes, steps })`, and where there are
// any the targets with the PyTorch program that is measured beside them.
import * as klein4b from './klein-4b.mjs';
import * as pocket from './pocket.mjs';
import * as schnell from './schnell.mjs';
import * as schnellCut from './schnell-cut.mjs';
import * as sd15 from './sd15.mjs';
import * as sdxl from './sdxl.mjs';

const models = new Map(
  [pocket, sd15, sdxl, schnell, schnellCut, klein4b].map((model) => [model.name, model]),
);

/** Without names those that a small machine measures in a few minutes. */
export function findModels(names = [pocket.name, sd15.name]) {
  return names.map((name) => {
    const model = models.get(name);
    if (!model) throw new Error(`unknown model "${name}"; possible are ${[...models.keys()].join(', ')}`);
    return model;
  });
}
