import { expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { call } from "./master.ts";

it("answers that it is well", async () => {
  expect(await call({}, adminApi.health)).toMatchObject({ status: 200, code: "OK", data: { status: "ok" } });
});
