// The scheduler of a diffusers folder: what its settings say about the noise that the network was trained on, what the
// network predicts, and how it likes to be sampled. Settings of a solver that ImageForge does not have say nothing here.
import { findSampler } from '../../sampling/registry.js';
import {
  BETA_SCHEDULES,
  type BetaNoise,
  type BetaSchedule,
  type EdmNoise,
} from '../../sampling/trained-noise.js';
import type { Prediction } from '../../sampling/types.js';
import { ImageForgeError } from '../../shared/errors.js';
import type { WeightSource } from '../sources.js';
import { readPredictionWord } from './prediction-words.js';

export const schedulerFile = 'scheduler/scheduler_config.json';

export interface SchedulerFacts {
  prediction?: Prediction;
  noise?: BetaNoise | EdmNoise;
  /** undefined where it does not say. */
  zeroTerminalSnr?: boolean;
  sampler?: string;
  schedule?: string;
  notes: string[];
}

/** Settings that belong to a solver, to training or to the file, and do not change what the network means. */
const ofSolvers = new Set(
  `_class_name _diffusers_version algorithm_type clip_sample clip_sample_range dynamic_thresholding_ratio euler_at_final
  lower_order_final solver_order solver_type solver_p disable_corrector predict_x0 skip_prk_steps set_alpha_to_one
  original_inference_steps timestep_scaling variance_type sample_max_value lambda_min_clipped use_lu_lambdas
  thresholding noise_sampler_seed gamma s_churn s_noise s_tmin s_tmax time_shift_type shift use_dynamic_shifting
  base_shift max_shift base_image_seq_len max_image_seq_len shift_terminal stochastic_sampling`.split(/\s+/),
);
const known = new Set(
  `prediction_type beta_schedule beta_start beta_end trained_betas num_train_timesteps rescale_betas_zero_snr
  timestep_spacing steps_offset final_sigmas_type sigma_min sigma_max sigma_data sigma_schedule rho timestep_type
  interpolation_type use_karras_sigmas use_exponential_sigmas use_beta_sigmas use_flow_sigmas flow_shift
  invert_sigmas`.split(/\s+/),
);

/** @throws ImageForgeError UNSUPPORTED for a setting that ImageForge does not have, WEIGHTS_INVALID for nonsense. */
export function readScheduler(source: WeightSource): SchedulerFacts | undefined {
  const config = source.config?.scheduler as Record<string, unknown> | undefined;
  if (!config) return undefined;
  const reader = new SchedulerReader(source.label, config);
  reader.refuseForeign();
  return reader.isEdm ? reader.readEdm() : reader.readDiscrete();
}

class SchedulerReader {
  readonly #label: string;
  readonly #config: Record<string, unknown>;
  readonly #class: string;

  constructor(label: string, config: Record<string, unknown>) {
    this.#label = label;
    this.#config = config;
    this.#class = typeof config._class_name === 'string' ? config._class_name : '';
  }

  get isEdm(): boolean {
    return this.#class.startsWith('EDM');
  }

  /** What would change every picture and is not computed here. */
  refuseForeign(): void {
    if (this.#class.startsWith('FlowMatch') || this.#flag('use_flow_sigmas'))
      throw this.#unsupported(
        this.#flag('use_flow_sigmas') ? 'use_flow_sigmas' : '_class_name',
        'noise levels that are no flow',
      );
    if (this.#flag('thresholding')) throw this.#unsupported('thresholding', 'false');
    if (this.#flag('invert_sigmas')) throw this.#unsupported('invert_sigmas', 'false');
    const interpolation = this.#word('interpolation_type');
    if (interpolation !== undefined && interpolation !== 'linear')
      throw this.#unsupported('interpolation_type', 'linear');
  }

  /** EDM's schedulers (Karras et al. 2022): their epsilon is the paper's F. */
  readEdm(): SchedulerFacts {
    const words = this.#prediction();
    const schedule = this.#oneOf('sigma_schedule', ['karras', 'exponential']) ?? 'karras';
    const rho = this.#number('rho') ?? 7;
    if (schedule === 'karras' && rho !== 7) throw this.#unsupported('rho', '7');
    const noise: EdmNoise = {
      kind: 'edm',
      min: this.#positive('sigma_min') ?? 0.002,
      max: this.#positive('sigma_max') ?? 80,
      data: this.#positive('sigma_data') ?? 0.5,
      ...(this.#endsAtLowest() && { endsAtLowest: true }),
    };
    if (noise.min >= noise.max) throw this.#invalid('sigma_min', `less than sigma_max, ${noise.max}`);
    return {
      prediction: words === undefined || words === 'eps' ? 'edm' : words,
      noise,
      schedule,
      sampler: this.#class === 'EDMEulerScheduler' ? 'euler' : 'dpmpp_2m',
      notes: this.#notes(),
    };
  }

  readDiscrete(): SchedulerFacts {
    const prediction = this.#prediction();
    const zeroTerminalSnr = this.#config.rescale_betas_zero_snr;
    const sampler = this.#sampler();
    const schedule = this.#schedule();
    const noise = this.#continuous(prediction) ?? this.#betas(schedule);
    return {
      ...(prediction && { prediction }),
      noise,
      ...(typeof zeroTerminalSnr === 'boolean' && { zeroTerminalSnr }),
      ...(sampler !== undefined && { sampler }),
      ...(schedule !== undefined && { schedule }),
      notes: this.#notes(),
    };
  }

  #prediction(): Prediction | undefined {
    const word = this.#word('prediction_type');
    return word === undefined
      ? undefined
      : readPredictionWord(word, this.#label, `prediction_type in ${schedulerFile}`);
  }

  /** Euler's continuous timesteps are EDM's, with the network's own prediction and sigma_data 1. */
  #continuous(prediction: Prediction | undefined): EdmNoise | undefined {
    const type = this.#oneOf('timestep_type', ['discrete', 'continuous']);
    if (type !== 'continuous') return undefined;
    const [min, max] = [this.#positive('sigma_min'), this.#positive('sigma_max')];
    if (prediction !== 'v' || min === undefined || max === undefined)
      throw this.#unsupported('timestep_type', 'discrete, or v_prediction with sigma_min and sigma_max');
    return { kind: 'edm', min, max, data: 1, ...(this.#endsAtLowest() && { endsAtLowest: true }) };
  }

  #betas(spacing: string | undefined): BetaNoise {
    const schedule = this.#oneOf('beta_schedule', BETA_SCHEDULES) as BetaSchedule | undefined;
    const [start, end] = [this.#beta('beta_start'), this.#beta('beta_end')];
    const betas = this.#trainedBetas();
    // a file that says something about betas is completed as diffusers would, another one is taken for published
    const says = schedule !== undefined || start !== undefined || end !== undefined;
    const usual =
      says && this.#class !== 'LCMScheduler'
        ? ({ schedule: 'linear', start: 0.0001, end: 0.02 } as const)
        : ({ schedule: 'scaled_linear', start: 0.00085, end: 0.012 } as const);
    const [lowest, highest] = [this.#positive('sigma_min'), this.#positive('sigma_max')];
    const offset = this.#number('steps_offset') ?? (spacing === 'leading' ? 0 : undefined);
    return {
      kind: 'betas',
      schedule: schedule ?? usual.schedule,
      start: start ?? usual.start,
      end: end ?? usual.end,
      count: betas?.length ?? this.#count(),
      ...(betas && { betas }),
      zeroTerminalSnr: false,
      ...(lowest !== undefined && { lowest }),
      ...(highest !== undefined && { highest }),
      ...(offset !== undefined && { stepsOffset: offset }),
      ...(this.#endsAtLowest() && { endsAtLowest: true }),
    };
  }

  #count(): number {
    const count = this.#number('num_train_timesteps') ?? 1000;
    if (!Number.isInteger(count) || count < 2 || count > 100_000)
      throw this.#invalid('num_train_timesteps', 'a whole number from 2 to 100000');
    return count;
  }

  #trainedBetas(): number[] | undefined {
    const betas = this.#config.trained_betas;
    if (betas === undefined || betas === null) return undefined;
    const valid =
      Array.isArray(betas) &&
      betas.length >= 2 &&
      betas.length <= 100_000 &&
      betas.every((beta) => typeof beta === 'number' && beta > 0 && beta < 1);
    if (!valid) throw this.#invalid('trained_betas', 'a list of numbers between 0 and 1');
    return betas as number[];
  }

  #endsAtLowest(): boolean {
    const type = this.#oneOf('final_sigmas_type', ['zero', 'sigma_min']);
    // DDIM's own word for the same: the last step goes to the first trained level instead of to no noise at all
    const toFirst = this.#class === 'DDIMScheduler' && this.#config.set_alpha_to_one === false;
    return type === undefined ? toFirst : type === 'sigma_min';
  }

  /** The sampler of that name, where there is one. */
  #sampler(): string | undefined {
    if (this.#class === '') return undefined;
    const algorithm = this.#word('algorithm_type') ?? 'dpmsolver++';
    if (this.#class === 'DPMSolverMultistepScheduler') {
      if (algorithm === 'sde-dpmsolver++') return 'dpmpp_2m_sde';
      return algorithm === 'dpmsolver++' && (this.#number('solver_order') ?? 2) === 2
        ? 'dpmpp_2m'
        : undefined;
    }
    try {
      return findSampler(this.#class).entry.name;
    } catch {
      return undefined;
    }
  }

  #schedule(): string | undefined {
    // LCM's scheduler has the setting and never reads it
    if (this.#class === 'LCMScheduler') return undefined;
    const spacing = this.#oneOf('timestep_spacing', ['leading', 'trailing', 'linspace']);
    if (this.#flag('use_karras_sigmas')) return 'karras';
    if (this.#flag('use_exponential_sigmas')) return 'exponential';
    return this.#flag('use_beta_sigmas') ? 'beta_sigmas' : spacing;
  }

  #notes(): string[] {
    const notes: string[] = [];
    const strange = Object.keys(this.#config).filter((key) => !known.has(key) && !ofSolvers.has(key));
    if (strange.length > 0)
      notes.push(`${schedulerFile} has settings that ImageForge does not know: ${strange.join(', ')}.`);
    if (this.#flag('use_lu_lambdas'))
      notes.push(`${schedulerFile} asks for use_lu_lambdas, a schedule that ImageForge does not have.`);
    return notes;
  }

  #flag(key: string): boolean {
    return this.#config[key] === true;
  }

  #word(key: string): string | undefined {
    const value = this.#config[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string') throw this.#invalid(key, 'a word');
    return value;
  }

  #oneOf<Word extends string>(key: string, words: readonly Word[]): Word | undefined {
    const word = this.#word(key);
    if (word === undefined) return undefined;
    if (!words.includes(word as Word)) throw this.#unsupported(key, words.join(', '));
    return word as Word;
  }

  #number(key: string): number | undefined {
    const value = this.#config[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
      throw this.#invalid(key, 'a number that is not negative');
    return value;
  }

  #positive(key: string): number | undefined {
    const value = this.#number(key);
    if (value === 0) throw this.#invalid(key, 'a positive number');
    return value;
  }

  #beta(key: string): number | undefined {
    const value = this.#positive(key);
    if (value !== undefined && value >= 1) throw this.#invalid(key, 'a number between 0 and 1');
    return value;
  }

  #unsupported(key: string, expected: string): ImageForgeError {
    return new ImageForgeError(
      'UNSUPPORTED',
      `${this.#label}: ${key} in ${schedulerFile} is ${JSON.stringify(this.#config[key])}, which ImageForge does not have; it knows ${expected}`,
      {
        hint: `If the model was not trained so, correct ${schedulerFile}.`,
        details: { file: this.#label, setting: key },
      },
    );
  }

  #invalid(key: string, expected: string): ImageForgeError {
    return new ImageForgeError(
      'WEIGHTS_INVALID',
      `${this.#label}: ${key} in ${schedulerFile} is ${JSON.stringify(this.#config[key])?.slice(0, 80)}; ${expected} was expected`,
      { details: { file: this.#label, setting: key } },
    );
  }
}
