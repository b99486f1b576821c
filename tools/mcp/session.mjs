// A session as an agent has it: session.mjs PROGRAM PROJECT MODEL ERA, with the
// official TypeScript client over stdio. Ends with an error at the first
// answer that is not as expected.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.cwd() + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const [program, project, model, era] = process.argv.slice(2);
const modern = era === "modern";

const { Client } = await load(modern
  ? "@modelcontextprotocol/client"
  : "@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = await load(modern
  ? "@modelcontextprotocol/client/stdio"
  : "@modelcontextprotocol/sdk/client/stdio.js");

const client = new Client(
  { name: "session", version: "1" },
  modern ? { versionNegotiation: { mode: { pin: "2026-07-28" } } } : {});
await client.connect(new StdioClientTransport({
  command: program, args: ["mcp", "--project", project] }));

const { tools } = await client.listTools();
const names = tools.map((tool) => tool.name);
for (const name of ["inspect", "check", "fit", "compare", "explain"]) {
  assert.ok(names.includes(name), name);
}
assert.ok(tools.length <= 10);

const call = (name, args) => client.callTool({ name, arguments: args });
const inspected = await call("inspect", { model });
assert.equal(inspected.structuredContent.architecture, "llama");
const checked = await call("check", { model });
assert.equal(checked.structuredContent.verdict, "sound");
const unknown = await call("explain", { id: "no.such-finding" });
assert.equal(unknown.isError, true);
const wrong = await call("inspect", { model: 7 });
assert.equal(wrong.isError, true);
const absent = await call("inspect", { model: "/no/such/model" });
assert.equal(absent.isError, true);
assert.match(absent.content[0].text, /file\.unreadable/);

const { resources } = await client.listResources();
const todo = resources.find((one) => one.uri.endsWith("/TODO.md"));
const read = await client.readResource({ uri: todo.uri });
assert.match(read.contents[0].text, /# TODO/);
await assert.rejects(client.readResource({ uri: "assay://project/../x" }));

const { prompts } = await client.listPrompts();
assert.deepEqual(prompts.map((one) => one.name),
                 ["start", "investigate", "end"]);
const prompt = await client.getPrompt(
  { name: "investigate", arguments: { model } });
assert.ok(prompt.messages[0].content.text.includes(model));
await client.close();
console.log(`session (${era}): as expected`);
