// The models that the benchmark knows, each in its own file: a name, `listRows({ types, sizes, steps })`, and if there are
// any, its targets and the PyTorch program to compare with.
import * as klein4b from './klein-4b.mjs';
import * as pocket from './pocket.mjs';
import * as schnell from './schnell.mjs';
import * as schnellCut from './schnell-cut.mjs';
import * as sd15 from './sd15.mjs';
import * as sdxl from './sdxl.mjs';

const models = new Map(
  [pocket, sd15, sdxl, schnell, schnellCut, klein4b].map((model) => [model.name, model]),
);

/** Finds models by name. The defaults are those that a small machine measures in a few minutes. */
export function findModels(names = [pocket.name, sd15.name]) {
  return names.map((name) => {
    const model = models.get(name);
    if (!model) throw new Error(`unknown model "${name}"; expected one of ${[...models.keys()].join(', ')}`);
    return model;
  });
}
