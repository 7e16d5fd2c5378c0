import {
  type CSSVariablesResolver,
  createTheme,
  DEFAULT_THEME,
  type MantineColorsTuple,
} from "@mantine/core";

const brand: MantineColorsTuple = [
  "#eff4ff",
  "#dfe9fe",
  "#bfd2fc",
  "#97b6f8",
  "#7a9ff4",
  "#5a86ee",
  "#4370e3",
  "#335dd3",
  "#2a4fbe",
  "#22409c",
];

/** Greys with a little blue, so that surfaces, borders and the brand's colour belong together. */
const dark: MantineColorsTuple = [
  "#d5dae2",
  "#b6bdc9",
  "#959eac",
  "#727c8b",
  "#434c5a",
  "#353d49",
  "#28303a",
  "#1c222b",
  "#14191f",
  "#0e1216",
];

/**
 * Mantine's colours, their two darkest shades darker: white on the one, and the other on its palest shade, then have
 * the contrast that WCAG AA asks for.
 */
const darker = (name: string, filled: string, text: string) =>
  [
    ...(DEFAULT_THEME.colors[name] as MantineColorsTuple).slice(0, 8),
    filled,
    text,
  ] as unknown as MantineColorsTuple;

export const theme = createTheme({
  colors: {
    brand,
    dark,
    red: darker("red", "#d02626", "#b02020"),
    orange: darker("orange", "#b5450a", "#9a3a08"),
    yellow: darker("yellow", "#8f5e00", "#774e00"),
    green: darker("green", "#22792f", "#1c6627"),
    teal: darker("teal", "#08734f", "#066143"),
    cyan: darker("cyan", "#0b7285", "#095f70"),
  },
  primaryColor: "brand",
  defaultRadius: "md",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SFMono-Regular", Menlo, Consolas, "Noto Sans Mono", monospace',
  headings: { fontWeight: "600" },
  // Light text on the default shade is below the contrast that WCAG AA asks for.
  primaryShade: { light: 8, dark: 8 },
  components: {
    Tooltip: { defaultProps: { withArrow: true, openDelay: 300 } },
    // Else a menu holds something that is no item of it; so its first item gets the focus.
    Menu: { defaultProps: { withInitialFocusPlaceholder: false } },
    Modal: {
      defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 } },
      styles: { title: { fontWeight: 600, lineHeight: 1.35, overflowWrap: "anywhere" } },
    },
    // Words are easier to read as they are written, and Chinese has no capitals.
    Badge: { styles: { root: { textTransform: "none", fontWeight: 600 } } },
  },
});

/** Where Mantine's own greys and reds are fainter than WCAG AA allows, and what it has no name for. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-text": "#1a2029",
    "--mantine-color-dimmed": "var(--mantine-color-gray-7)",
    "--mantine-color-placeholder": "var(--mantine-color-gray-6)",
    "--mantine-color-error": "var(--mantine-color-red-9)",
    "--mantine-color-default-border": "#d3d8df",
    "--page-background": "#f5f7fa",
    "--focus-ring": "var(--mantine-color-brand-8)",
  },
  dark: {
    "--mantine-color-dimmed": "var(--mantine-color-dark-1)",
    "--mantine-color-placeholder": "var(--mantine-color-dark-2)",
    "--mantine-color-error": "var(--mantine-color-red-4)",
    "--page-background": "var(--mantine-color-dark-8)",
    "--focus-ring": "var(--mantine-color-brand-4)",
  },
});
