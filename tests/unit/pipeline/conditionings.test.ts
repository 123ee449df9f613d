import { describe, expect, it } from 'vitest';
import type { PromptConditioning } from '../../../src/families/runtime.js';
import type { Conditioning } from '../../../src/native/addon.js';
import { ConditioningSet } from '../../../src/pipeline/conditionings.js';
import type { Steering } from '../../../src/pipeline/control.js';
import { combinePositives, guide } from '../../../src/pipeline/guidance.js';
import { TextList } from '../../../src/pipeline/text-schedule.js';

const closed: string[] = [];
const conditioning = (name: string) => ({ name, close: () => closed.push(name) }) as Conditioning;
const inputs = (name: string) => ({ name }) as unknown as PromptConditioning;
const names = (found: readonly unknown[]) => found.map((one) => (one as { name: string }).name);

describe('ConditioningSet', () => {
  const list = new TextList('webui', true);
  const first = list.schedule({ prompt: '[a|b] AND c :2', negativePrompt: '[x:y:1]' }, { steps: 2 });
  const other = list.schedule({ prompt: 'b', negativePrompt: 'z' }, { steps: 2 });
  const unused = list.schedule({ prompt: 'unused', negativePrompt: 'x' }, { steps: 2 });
  const texts = {
    positives: list.prompts.map(inputs),
    negatives: list.negativePrompts.map(inputs),
    notes: [],
  };

  function open(): ConditioningSet {
    const set = new ConditioningSet(texts, [first, other]);
    for (const name of names(set.inputs)) set.add(conditioning(name));
    set.steering = {
      strength: 0.5,
      conditionings: names(set.inputs).map((name) => conditioning(`control ${name}`)),
    } as unknown as Steering;
    return set;
  }

  it('takes each text that some step uses, once', () => {
    expect(names(open().inputs)).toEqual(['a', 'b', ' c', 'x', 'y', 'z']);
    expect(names(new ConditioningSet(texts, [unused]).inputs)).toEqual(['unused', 'x']);
    expect(names(new ConditioningSet({ ...texts, negatives: [] }, [other]).inputs)).toEqual(['b']);
  });

  it('selects the conditioning of a picture and step, and the ControlNet’s', () => {
    const set = open();
    const at = (image: number, step: number) => {
      const { conditionings, weights, steering } = set.at(image, step);
      expect(names(steering!.conditionings)).toEqual(names(conditionings).map((name) => `control ${name}`));
      expect(steering!.strength).toBe(0.5);
      return [names(conditionings), weights];
    };
    expect(at(0, 0)).toEqual([
      ['a', ' c', 'x'],
      [1, 2],
    ]);
    expect(at(0, 1)).toEqual([
      ['b', ' c', 'y'],
      [1, 2],
    ]);
    expect(at(1, 1)).toEqual([['b', 'z'], [1]]);
  });

  it('closes all of them', () => {
    closed.length = 0;
    open().close();
    expect(closed).toHaveLength(12);
  });
});

it('combines positive predictions so that guidance gives the weighted sum', () => {
  const [a, b, negative] = [Float32Array.of(1, 2), Float32Array.of(3, -1), Float32Array.of(0.5, 0.25)];
  const combined = guide(combinePositives([a, b], [0.5, 2], negative), negative, 3);
  for (const [i, value] of combined.entries()) {
    const sum = 0.5 * (a[i]! - negative[i]!) + 2 * (b[i]! - negative[i]!);
    expect(value).toBeCloseTo(negative[i]! + 3 * sum, 5);
  }
  expect(combinePositives([a], [1], negative)).toBe(a);
  expect(combinePositives([a], [1], undefined)).toBe(a);
});
