import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { TEST_MS } from "./until.ts";
import { sourceFolder, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world?.close());

describe.concurrent("what is in a backup", { timeout: TEST_MS }, () => {
  test.for(["vault", "local_disk"] as const)(
    "is listed and tried without writing anything, from %s",
    async (storage, { onTestFinished }) => {
      const machine = await world.machine(onTestFinished);
      machine.start();
      await world.online(machine);
      const source = sourceFolder(machine, 40);
      const store = path.join(machine.folder, "store");
      mkdirSync(store);
      const targetIds = [await world.target(storage, storage === "vault" ? {} : { path: store })];
      const taskId = await world.task(machine, { source: { type: "file", paths: [source] }, targetIds });
      const { id } = await world.endOf((await world.run(taskId)).recordId);

      const contents = (query: Record<string, string>) =>
        world.call(adminApi.recordContents, { params: { id }, query });
      const { entries } = await contents({ path: source });
      expect(entries.map(({ name }) => name)).toContain("deep");
      const deep = path.join(source, "deep");
      const [inner] = (await contents({ path: deep })).entries;
      if (!inner) throw new Error("nothing is in deep");
      const found = await contents({ name: inner.name });
      expect(found.entries.map((entry) => entry.path)).toContain(inner.path);
      const missing = await world.ask(adminApi.recordContents, {
        params: { id },
        query: { path: "/nowhere" },
      });
      expect(missing).toMatchObject({
        code: "NODE_COMMAND_FAILED",
        message: expect.stringContaining("there is no directory /nowhere in this backup"),
      });

      const destination = path.join(machine.folder, "restored");
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id },
        body: { destination, selectedPaths: [deep], dryRun: true },
      });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success", dryRun: true });
      const { outcome } = await world.call(adminApi.getRestore, { params: { id: restoreId } });
      const would = outcome?.create.paths.map((entry) => entry.path);
      expect(would).toContain(path.join(destination, inner.path));
      expect(outcome?.refuse.entries).toBe(0);
      expect(existsSync(destination)).toBe(false);
    },
  );
});
