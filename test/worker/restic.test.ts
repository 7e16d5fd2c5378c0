import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { aNode, asRole, call } from "./master.ts";
import { copyRow, recordRow, set, targetRow, unique } from "./rows.ts";

async function create(changes: Record<string, unknown> = {}, node?: { id: number }) {
  const body = {
    name: unique("task"),
    nodeId: (node ?? (await aNode({ ours: true }))).id,
    source: { type: "file", paths: ["/etc"] },
    targetIds: [await targetRow("local_disk")],
    pipeline: { engine: "restic" },
    secrets: { resticPassword: "a password" },
    ...changes,
  };
  return call(await asRole("operator"), adminApi.createTask, { body });
}

const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

describe("a task with restic", () => {
  it("is saved with its password sealed, and shows that it has one", async () => {
    const { data, message } = await create();
    expect(message).toBe("success");
    expect(data).toMatchObject({ pipeline: { engine: "restic" }, secretsSet: ["resticPassword"] });
    expect(JSON.stringify(data)).not.toContain("a password");
  });

  it.each([
    ["secrets.resticPassword", { secrets: {} }],
    ["pipeline.engine", { source: { type: "sqlite", paths: ["/a.db"] }, secrets: {} }],
    ["pipeline.compression", { pipeline: { engine: "restic", compression: "gzip" } }],
    ["pipeline.level", { pipeline: { engine: "restic", level: 3 } }],
    ["pipeline.encryption", { pipeline: { engine: "restic", encryption: { recipients: [recipient] } } }],
    ["pipeline.differential", { pipeline: { engine: "restic", differential: { fullEveryDays: 7 } } }],
    ["source.excludes", { source: { type: "file", paths: ["/etc"], excludes: ["cache/"] } }],
  ])("is refused for %s, by that name", async (field, changes) => {
    expect(await create(changes)).toMatchObject({
      status: 400,
      code: "INVALID_INPUT",
      message: expect.stringContaining(field),
    });
  });

  it.each([
    ["vault", {}, "cannot store to the vault"],
    ["sftp", { secret_names: '["password"]' }, "by a private key only"],
    ["sftp", { secret_names: '["passphrase","privateKey"]' }, "it has a passphrase"],
    ["azure_blob", { config: '{"endpoint":"https://a.example"}' }, "the account's usual address"],
  ])("is refused for a target that restic does not reach: %s", async (type, columns, words) => {
    const answer = await create({ targetIds: [await targetRow(type, columns)] });
    expect(answer).toMatchObject({ code: "INVALID_INPUT", message: expect.stringContaining(words) });
  });

  it("is refused for a node whose agent has no restic, or is a Go agent's", async () => {
    const knows = (engines: object, storages = ["local_disk", "webdav"]) =>
      JSON.stringify({ sources: ["file"], storages, engines });
    const node = await aNode({ ours: true });
    await set("nodes", node.id, { capabilities: knows({ age: "1" }) });
    expect(await create({}, node)).toMatchObject({
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining("finds no program restic"),
    });
    await set("nodes", node.id, { capabilities: knows({ restic: "0.14.0" }) });
    expect((await create({}, node)).message).toBe("success");
    expect(await create({ targetIds: [await targetRow("webdav")] }, node)).toMatchObject({
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining("through rclone"),
    });
    expect(await create({}, await aNode())).toMatchObject({
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining("does not know restic"),
    });
  });

  it("stays while a snapshot is still to be forgotten, which needs its password", async () => {
    const node = await aNode({ ours: true });
    const { data } = await create({}, node);
    const recordId = await recordRow(data.id, node.id, { pipeline: '{"engine":"restic"}', deleted_at: 1 });
    await copyRow(recordId, await targetRow("s3"), "delete_failed");
    expect(
      await call(await asRole("operator"), adminApi.deleteTask, { params: { id: data.id } }),
    ).toMatchObject({ code: "TASK_HAS_RECORDS" });
  });
});
