import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "react-router/dom";
import { queryClient } from "./api/queries.ts";
import { router } from "./router.tsx";
import { Session } from "./session.tsx";
import { cssVariables, theme } from "./theme.ts";

export function App() {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
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
