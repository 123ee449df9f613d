// Jobs that outlive their stdio server, with the SDK's own client.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type Progress } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, describe, expect, it } from 'vitest';
import { testModel } from '../test-model.js';

const fox = { prompt: 'a red fox', width: 64, height: 64, steps: 4, seed: 42 };

describe('a job over stdio, when its server ends', () => {
  const home = mkdtempSync(join(tmpdir(), 'imageforge-mcp-jobs-'));
  const clients: Client[] = [];
  afterAll(async () => {
    for (const client of clients) await client.close();
    rmSync(home, { recursive: true, force: true });
  });
  const connect = async (behaviour: string) => {
    const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'legacy' } });
    const args = [join(import.meta.dirname, 'noisy-server.mjs'), home, testModel.model, behaviour];
    const transport = new StdioClientTransport({ command: process.execPath, args, stderr: 'ignore' });
    await client.connect(transport);
    clients.push(client);
    const call = (name: string, args: Record<string, unknown>) => client.callTool({ name, arguments: args });
    return { client, call, pid: transport.pid! };
  };
  const begin = async (behaviour: string) => {
    const server = await connect(behaviour);
    const answer = await server.call('generate_image', { ...fox, seed: null, wait_seconds: 0 });
    return { ...server, job_id: (answer.structuredContent as { job_id: string }).job_id };
  };
  const wait = async ({ call }: Awaited<ReturnType<typeof connect>>, job_id: unknown) =>
    (await call('job', { job_id, action: 'wait' })).structuredContent;

  it('resumes when another server is asked for it, however the first one ended', async () => {
    const killed = await begin('step=1000');
    process.kill(killed.pid, 'SIGKILL');
    const left = await begin('step=1000');
    await left.client.close();
    const next = await connect('step=0');
    expect(await wait(next, killed.job_id)).toMatchObject({ status: 'done', width: 64 });
    expect(await wait(next, left.job_id)).toMatchObject({ status: 'done', width: 64 });
  });

  it('stays with a living server', async () => {
    const first = await begin('step=100');
    const second = await connect('step=0');
    const asked = await second.call('job', { job_id: first.job_id, action: 'wait' });
    expect(asked.isError).toBe(true);
    expect(await wait(first, first.job_id)).toMatchObject({ status: 'done' });
  });

  it('is answered after a SIGTERM if it can be finished', async () => {
    const { client, pid } = await connect('step=200');
    const args = { ...fox, seed: null };
    let answer: ReturnType<typeof client.callTool> | undefined;
    await new Promise<void>((begun) => {
      const onprogress = ({ message }: Progress) => message?.startsWith('step') && begun();
      answer = client.callTool({ name: 'generate_image', arguments: args }, { onprogress });
    });
    process.kill(pid, 'SIGTERM');
    expect((await answer!).structuredContent).toMatchObject({ status: 'done' });
  });
});
