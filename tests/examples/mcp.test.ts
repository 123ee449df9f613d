// The MCP configurations of examples/mcp: each starts or reaches the server that it names, which lists its tools.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { describe, expect, it } from 'vitest';
import { makeFolder } from '../folder.js';
import { describePicture, examples, makeInstalledEnvironment, reason, root, serve } from './example.js';

interface Configured {
  type?: 'stdio' | 'http';
  command?: string;
  args?: string[];
  env?: Record<string, string>;
  url?: string;
}

const folder = path.join(examples, 'mcp');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** The one server of a file, with the placeholders for the reader's own paths filled in. */
function readServer(name: string, home: string): Configured {
  const text = readFileSync(path.join(folder, name), 'utf8')
    .replaceAll('/path/to/imageforge', root)
    .replaceAll('/home/me', home)
    .replaceAll(`\${workspaceFolder}`, home);
  const { mcpServers, servers } = JSON.parse(text);
  return (mcpServers ?? servers).imageforge;
}

async function connect({ command, args, env, url }: Configured, home: string): Promise<Client> {
  const client = new Client({ name: 'example', version: '1' });
  if (url) {
    const address = new URL(new URL(url).pathname, await serve(home));
    await client.connect(new StreamableHTTPClientTransport(address));
  } else {
    const installed = { ...makeInstalledEnvironment(home), ...env };
    // The client looks the command up itself, on the PATH that it was started with.
    process.env.PATH = installed.PATH;
    await client.connect(
      new StdioClientTransport({
        command: command!,
        args: args!,
        env: installed,
        cwd: home,
        stderr: 'ignore',
      }),
    );
  }
  return client;
}

describe.skipIf(reason)(`MCP configurations ${reason}`, () => {
  it.each(files)('%s lists the tools', async (name) => {
    const home = makeFolder('example');
    const client = await connect(readServer(name, home), home);
    try {
      expect(client.getServerVersion()).toMatchObject({ name: 'imageforge' });
      const { tools } = await client.listTools();
      expect(tools.map((tool) => tool.name)).toEqual(
        expect.arrayContaining(['generate_image', 'edit_image', 'list_models', 'job']),
      );
    } finally {
      await client.close();
    }
  });

  it('puts pictures where claude_desktop_config.json says', async () => {
    const home = makeFolder('example');
    const server = readServer('claude_desktop_config.json', home);
    const client = await connect(server, home);
    try {
      const asked = { prompt: 'a red star on a white background', seed: 42 };
      const { structuredContent } = await client.callTool({ name: 'generate_image', arguments: asked });
      const made = structuredContent as { output_path: string };
      expect(path.dirname(made.output_path)).toBe(server.env!.OUTPUT_DIR);
      const { red, blue } = await describePicture(made.output_path);
      expect(red).toBeGreaterThan(blue + 60);
    } finally {
      await client.close();
    }
  });
});
