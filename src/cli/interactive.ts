// generate --interactive: asks for a prompt and parameters, makes the picture, and starts over. The model stays loaded.
import * as prompts from '@clack/prompts';
import { ImageForgeError } from '../shared/errors.js';
import { type ImageOptions, readOptions, toNumber } from './image-options.js';
import { openService } from './open-service.js';
import { printResult, runOnce } from './run-images.js';

const QUESTIONS = [
  ['steps', 'Steps'],
  ['guidance', 'Guidance'],
  ['width', 'Width'],
  ['height', 'Height'],
  ['seed', 'Seed'],
] as const;

export async function runInteractive(firstPrompt: string | undefined, given: ImageOptions): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new ImageForgeError('INVALID_ARGUMENT', '--interactive needs a terminal', {
      hint: 'Give the prompt as an argument instead.',
    });
  }
  const service = openService({ verbose: given.verbose === true });
  let options = given;
  let prompt = firstPrompt;
  try {
    for (;;) {
      const asked = await ask(() =>
        prompts.text({
          message: 'Prompt',
          ...(prompt && { initialValue: prompt }),
          validate: (text) => (text?.trim() ? undefined : 'Describe the image'),
        }),
      );
      if (asked === undefined) return;
      prompt = asked;
      const adjusted = await askParameters(options);
      if (adjusted === undefined) return;
      options = adjusted;
      try {
        printResult(
          await runOnce(service, 'generate', readOptions('generate', prompt, options), options, 'number'),
          options,
        );
      } catch (error) {
        // An error or a cancellation ends this picture, not the session.
        const { message, hint } = ImageForgeError.from(error);
        prompts.log.error(hint ? `${message}\n${hint}` : message);
      }
      const again = await ask(() => prompts.confirm({ message: 'Another image?' }));
      if (!again) return;
    }
  } finally {
    await service.close();
  }
}

/** undefined when the user leaves; an empty answer means the model's default. */
async function askParameters(options: ImageOptions): Promise<ImageOptions | undefined> {
  const change = await ask(() => prompts.confirm({ message: 'Change the parameters?', initialValue: false }));
  if (change === undefined) return undefined;
  if (!change) return options;
  const next = { ...options };
  for (const [key, message] of QUESTIONS) {
    const answer = await ask(() =>
      prompts.text({
        message,
        placeholder: key === 'seed' ? 'random' : 'the model’s default',
        ...(typeof options[key] === 'string' && { initialValue: options[key] }),
        validate: (text) =>
          !text || typeof toNumber(text) === 'number' ? undefined : 'A number, or nothing for the default',
      }),
    );
    if (answer === undefined) return undefined;
    if (answer) next[key] = answer;
    else delete next[key];
  }
  return next;
}

/** The answer, or undefined when Ctrl-C or Escape was pressed. */
async function ask<T>(question: () => Promise<T>): Promise<Exclude<T, symbol> | undefined> {
  const answer = await question();
  return prompts.isCancel(answer) ? undefined : (answer as Exclude<T, symbol>);
}
