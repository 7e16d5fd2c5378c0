import type { Storage } from "../agent-cli/storage/storage.ts";

/** A target that only counts what it is given. */
export function discarding(): Storage {
  const unused = () => {
    throw new Error("not part of this benchmark");
  };
  return {
    async put(_key, body) {
      let sizeBytes = 0;
      for await (const chunk of body) sizeBytes += chunk.length;
      return { sizeBytes };
    },
    get: unused,
    stat: unused,
    list: unused,
    delete: unused,
    check: unused,
  };
}
