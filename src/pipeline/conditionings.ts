// The conditionings of one pass: made before its first step, chosen by picture and step, closed after its last.
import type { EncodedTexts, PromptConditioning } from '../families/runtime.js';
import type { Conditioning } from '../native/addon.js';
import type { Steering } from './control.js';
import type { TextSchedule } from './text-schedule.js';

/** What conditions one evaluation of the network. */
export interface ActiveConditionings {
  /** The positive ones, then the negative one if guidance needs it. */
  conditionings: Conditioning[];
  /** Of the positive ones. */
  weights: readonly number[];
  steering: Steering | undefined;
}

export class ConditioningSet {
  /** What this pass uses of the encoded texts, each once. */
  readonly inputs: readonly PromptConditioning[];
  /** Its conditionings are those of `inputs`, in their order. */
  steering: Steering | undefined;
  readonly #schedules: readonly TextSchedule[];
  readonly #guided: boolean;
  readonly #positives: ReadonlyMap<number, number>;
  readonly #negatives: ReadonlyMap<number, number>;
  readonly #made: Conditioning[] = [];

  /** @param schedules one for each picture of the batch */
  constructor({ positives, negatives }: EncodedTexts, schedules: readonly TextSchedule[]) {
    this.#schedules = schedules;
    this.#guided = negatives.length > 0;
    const used = (side: 'positives' | 'negatives') => [
      ...new Set(schedules.flatMap(({ places }) => [...places[side]])),
    ];
    const [usedPositives, usedNegatives] = [used('positives'), this.#guided ? used('negatives') : []];
    this.#positives = new Map(usedPositives.map((place, i) => [place, i]));
    this.#negatives = new Map(usedNegatives.map((place, i) => [place, usedPositives.length + i]));
    this.inputs = [
      ...usedPositives.map((place) => positives[place]!),
      ...usedNegatives.map((place) => negatives[place]!),
    ];
  }

  /** To be called once for each of `inputs`, in their order. */
  add(conditioning: Conditioning): void {
    this.#made.push(conditioning);
  }

  /** @param step from 0 */
  at(image: number, step: number): ActiveConditionings {
    const { positives, negative } = this.#schedules[image]!.at(step);
    const places = positives.map(({ place }) => this.#positives.get(place)!);
    if (this.#guided) places.push(this.#negatives.get(negative)!);
    const { steering } = this;
    return {
      conditionings: places.map((place) => this.#made[place]!),
      weights: positives.map(({ weight }) => weight),
      steering: steering && {
        ...steering,
        conditionings: places.map((place) => steering.conditionings[place]!),
      },
    };
  }

  close(): void {
    for (const conditioning of [...this.#made, ...(this.steering?.conditionings ?? [])]) conditioning.close();
  }
}
