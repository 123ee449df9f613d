// imageforge generate: text to image, once or interactively.
import type { Command } from 'commander';
import type { ImageOptions } from '../image-options.js';

export function addGenerate(program: Command): void {
  program
    .command('generate')
    .description('make an image from a prompt')
    .argument('[prompt]', 'what to show')
    .option('-i, --interactive', 'ask for prompts; the model stays loaded between them')
    .action(async (prompt: string | undefined, options: ImageOptions) => {
      if (options.interactive) {
        const { runInteractive } = await import('../interactive.js');
        await runInteractive(prompt, options);
        return;
      }
      const { runImages } = await import('../run-images.js');
      await runImages('generate', prompt, options);
    });
}
