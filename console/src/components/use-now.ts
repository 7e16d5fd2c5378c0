import { useInterval } from "@mantine/hooks";
import { useEffect, useState } from "react";

/** The time, again and again. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  const clock = useInterval(() => setNow(Date.now()), everyMs);
  useEffect(() => {
    clock.start();
    return clock.stop;
  }, [clock.start, clock.stop]);
  return now;
}
