import { type CSSVariablesResolver, createTheme } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "blue",
  defaultRadius: "md",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SFMono-Regular", Menlo, Consolas, "Noto Sans Mono", monospace',
  headings: { fontWeight: "600" },
  // Light text on the default shade is below the contrast that WCAG AA asks for.
  primaryShade: { light: 8, dark: 8 },
  components: { Tooltip: { defaultProps: { withArrow: true, openDelay: 300 } } },
});

/** Mantine's dimmed grey is fainter than WCAG AA allows on white. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: { "--mantine-color-dimmed": "var(--mantine-color-gray-7)" },
  dark: { "--mantine-color-dimmed": "var(--mantine-color-dark-1)" },
});
