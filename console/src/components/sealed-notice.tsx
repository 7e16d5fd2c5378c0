import { Anchor, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

type Props = { hint?: string | undefined; isSet: boolean; isRemoved: boolean; onToggle: (() => void) | null };

/** Below the input of a secret: that one is set, and whether it stays. `onToggle` is null where it may not go. */
export function SealedNotice({ hint, isSet, isRemoved, onToggle }: Props) {
  const { t } = useTranslation();
  return (
    <>
      {hint}
      {hint && isSet ? " " : null}
      {isSet ? (
        <Text span inherit>
          {isRemoved ? t("common.secretRemoved") : t("common.secretSet")}{" "}
          {onToggle ? (
            <Anchor component="button" type="button" size="xs" onClick={onToggle}>
              {isRemoved ? t("common.secretKeep") : t("common.secretRemove")}
            </Anchor>
          ) : null}
        </Text>
      ) : null}
    </>
  );
}
