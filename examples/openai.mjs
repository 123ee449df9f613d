// OpenAI's own client against `imageforge serve`: only the address is another one.
//
//   node openai.mjs [folder] [http://127.0.0.1:8765]
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';

const [folder = '.', server = 'http://127.0.0.1:8765'] = process.argv.slice(2);
// The client insists on a key; the server reads it only where API_KEY is set.
const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: process.env.API_KEY || 'none' });

/** Writes the first picture of an answer. */
async function save({ data: [picture] }, name) {
  const file = join(folder, name);
  await writeFile(file, Buffer.from(picture.b64_json, 'base64'));
  console.log(file);
  return file;
}

// A model key of `imageforge models list` goes into `model`; names of OpenAI's models mean the default model.
const made = await client.images.generate({
  model: 'gpt-image-1',
  prompt: 'a red star on a white background',
  size: '128x128',
  response_format: 'b64_json',
});
const file = await save(made, 'star.png');

// Fields that OpenAI doesn't have (seed, strength, steps …) are understood too.
const edited = await client.images.edit({
  model: 'gpt-image-1',
  image: createReadStream(file),
  prompt: 'a blue star on a white background',
  response_format: 'b64_json',
  strength: 0.8,
});
await save(edited, 'star-blue.png');
