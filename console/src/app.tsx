import { MantineProvider, mergeThemeOverrides } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { RouterProvider } from "react-router/dom";
import { queryClient } from "./api/queries.ts";
import { router } from "./router.tsx";
import { Session } from "./session.tsx";
import { cssVariables, theme } from "./theme.ts";

export function App() {
  const { t } = useTranslation();
  const spoken = mergeThemeOverrides(theme, {
    // What the components of the library say by themselves: on the way out of dialogs and notices, and beside passwords.
    components: {
      CloseButton: { defaultProps: { "aria-label": t("common.close") } },
      PasswordInput: {
        defaultProps: { visibilityToggleButtonProps: { "aria-label": t("common.showPassword") } },
      },
    },
  });
  return (
    <MantineProvider theme={spoken} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
      <QueryClientProvider client={queryClient}>
        <Notifications position="bottom-right" limit={4} />
        <Session>
          <ModalsProvider>
            <RouterProvider router={router} />
          </ModalsProvider>
        </Session>
      </QueryClientProvider>
    </MantineProvider>
  );
}
