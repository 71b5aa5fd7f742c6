// Calls through the gateway as pages do: with grpc-web, the client of the gRPC project, in both of its forms, and with
// connect-web. Arguments: the address of the gateway. Prints "all is well", or what is not.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const origin = `http://${process.argv[1] ?? process.argv[2]}`;
globalThis.XMLHttpRequest = require("xhr2");
const { GrpcWebClientBase, MethodDescriptor, MethodType, StatusCode } = require("grpc-web");

const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);
const method = (name, type) => new MethodDescriptor(`/test.Echo/${name}`, type, Object, Object, bytes, text);

function unary(client, name, message, metadata) {
  return new Promise((resolve, reject) => {
    const url = `${origin}/test.Echo/${name}`;
    client.rpcCall(url, message, metadata, method(name, MethodType.UNARY), (error, answer) =>
      error ? reject(error) : resolve(answer));
  });
}

function stream(client, name, message, metadata) {
  return new Promise((resolve, reject) => {
    const call = client.serverStreaming(`${origin}/test.Echo/${name}`, message, metadata, method(name, MethodType.SERVER_STREAMING));
    const answers = [];
    call.on("data", (answer) => answers.push(answer));
    call.on("error", reject);
    call.on("end", () => resolve(answers));
  });
}

for (const format of ["text", "binary"]) {
  const client = new GrpcWebClientBase({ format });
  for (const length of [0, 1, 2, 3, 4, 100, 70_000]) {
    const message = "ü".repeat(length);
    assert.equal(await unary(client, "Unary", message, { "x-id": "7" }), message, `${format} ${length}`);
  }
  assert.deepEqual(await stream(client, "Split", "hello, stream", { "x-id": "7" }), [..."hello, stream"], format);
  const failed = await unary(client, "Fail", "9", { "x-id": "8" }).then(() => assert.fail("no error"), (error) => error);
  assert.equal(failed.code, StatusCode.FAILED_PRECONDITION);
  assert.equal(failed.message, "it fails: 50 % ü");
  assert.equal(failed.metadata["x-id"], "8");
  const unknown = await unary(client, "None", "", {}).then(() => assert.fail("no error"), (error) => error);
  assert.equal(unknown.code, StatusCode.UNIMPLEMENTED);
  const late = await unary(client, "Hang", "", { deadline: `${Date.now() + 300}` }).then(() => assert.fail("no error"), (error) => error);
  assert.equal(late.code, StatusCode.DEADLINE_EXCEEDED);
}

const { create, createFileRegistry } = await import("@bufbuild/protobuf");
const { FileDescriptorProtoSchema, FileDescriptorSetSchema } = await import("@bufbuild/protobuf/wkt");
const { Code, ConnectError, createClient } = await import("@connectrpc/connect");
const { createGrpcWebTransport } = await import("@connectrpc/connect-web");

const type = ".test.Text";
const file = create(FileDescriptorProtoSchema, {
  name: "test.proto",
  package: "test",
  syntax: "proto3",
  messageType: [{ name: "Text", field: [{ name: "text", jsonName: "text", number: 1, type: 9, label: 1 }] }],
  service: [{
    name: "Echo",
    method: [
      { name: "Unary", inputType: type, outputType: type },
      { name: "Talk", inputType: type, outputType: type, serverStreaming: true },
      { name: "None", inputType: type, outputType: type },
    ],
  }],
});
const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
const client = createClient(registry.getService("test.Echo"), createGrpcWebTransport({ baseUrl: origin }));
for (const length of [0, 1, 100, 70_000]) {
  const message = "ü".repeat(length);
  assert.equal((await client.unary({ text: message })).text, message);
  const answers = [];
  for await (const answer of client.talk({ text: message })) answers.push(answer.text);
  assert.deepEqual(answers, [message]);
}
const error = ConnectError.from(await client.none({}).then(() => assert.fail("no error"), (error) => error));
assert.equal(error.code, Code.Unimplemented);

console.log("all is well");
