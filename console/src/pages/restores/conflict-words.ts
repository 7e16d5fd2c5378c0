import type { TFunction } from "i18next";

/** What happens to what exists, by each policy. */
export const conflictWords = (t: TFunction) => ({
  fail: t("restores.conflictFail"),
  keep: t("restores.conflictKeep"),
  overwrite: t("restores.conflictOverwrite"),
});
