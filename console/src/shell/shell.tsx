import { AppShell, Box, Burger, Button, Group, Image, NavLink, ScrollArea, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { Suspense } from "react";
import { useTranslation } from "react-i18next";
import { Link, Outlet, useLocation } from "react-router";
import { Waiting } from "../components/waiting.tsx";
import { useMe } from "../session.tsx";
import { AccountMenu } from "./account-menu.tsx";
import { Live } from "./live/live.tsx";
import { NoticeBell } from "./notice-bell.tsx";
import { openPalette, Palette } from "./palette.tsx";
import { type Place, placeGroups } from "./places.ts";
import { Unreachable } from "./unreachable.tsx";

/** What surrounds every page: where one is, where one can go, who one is. */
export function Shell() {
  const { t } = useTranslation();
  const [open, { toggle, close }] = useDisclosure();
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !open } }}
      padding="lg"
    >
      <a href="#content" className="skip-link">
        {t("nav.skip")}
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" gap="sm" wrap="nowrap">
          <Burger
            opened={open}
            onClick={toggle}
            hiddenFrom="sm"
            size="sm"
            aria-label={t("nav.menu")}
            aria-expanded={open}
          />
          <Image src="/icon.svg" alt="" w={28} h={28} />
          <Text fw={600} visibleFrom="xs">
            BackupX Edge
          </Text>
          <Button
            ml="auto"
            variant="default"
            size="xs"
            leftSection={<IconSearch size={14} aria-hidden />}
            onClick={openPalette}
          >
            {t("nav.search")}
          </Button>
          <NoticeBell />
          <AccountMenu />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" className="shell-nav" data-closed={!open} aria-label={t("nav.menu")}>
        <ScrollArea>
          <Places onGo={close} />
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Unreachable />
        <Suspense fallback={<Waiting />}>
          <Outlet />
        </Suspense>
      </AppShell.Main>
      <Palette />
      <Live />
    </AppShell>
  );
}

function Places({ onGo }: { onGo(): void }) {
  const { t } = useTranslation();
  const me = useMe();
  return placeGroups.map(({ label, places }) => {
    const allowed = places.filter(({ role }) => me.may(role));
    if (allowed.length === 0) return null;
    return (
      <Box
        key={label ?? ""}
        mb="md"
        role={label ? "group" : undefined}
        aria-label={label ? t(label) : undefined}
      >
        {label ? (
          <Text size="xs" fw={600} c="dimmed" px="sm" mb={4} aria-hidden>
            {t(label)}
          </Text>
        ) : null}
        {allowed.map((place) => (
          <PlaceLink key={place.path} place={place} onGo={onGo} />
        ))}
      </Box>
    );
  });
}

function PlaceLink({ place: { path, label, icon: Shape }, onGo }: { place: Place; onGo(): void }) {
  const { t } = useTranslation();
  const { pathname } = useLocation();
  const isHere = path === "/" ? pathname === "/" : pathname === path || pathname.startsWith(`${path}/`);
  return (
    <NavLink
      component={Link}
      to={path}
      label={t(label)}
      leftSection={<Shape size={18} stroke={1.75} aria-hidden />}
      active={isHere}
      aria-current={isHere ? "page" : undefined}
      onClick={onGo}
      className="place"
    />
  );
}
