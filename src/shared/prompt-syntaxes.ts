// Whose prompt language a request speaks.

/**
 * webui: emphasis, schedules, AND and BREAK as in the Stable Diffusion WebUI. comfy: emphasis as in ComfyUI.
 * plain: words, whatever brackets they stand in.
 */
export const PROMPT_SYNTAXES = ['webui', 'comfy', 'plain'] as const;
export type PromptSyntax = (typeof PROMPT_SYNTAXES)[number];
