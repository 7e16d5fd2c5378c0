import { useEffect, useState } from "react";

/** Seconds that are still to be waited, counted down to 0 by the clock, so that sleep does not prolong them. */
export function useCountdown(): { seconds: number; start(seconds: number): void } {
  const [until, setUntil] = useState(0);
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1000));
    setSeconds(left());
    if (left() === 0) return;
    const clock = setInterval(() => {
      setSeconds(left());
      if (left() === 0) clearInterval(clock);
    }, 500);
    return () => clearInterval(clock);
  }, [until]);
  return { seconds, start: (wait) => setUntil(Date.now() + wait * 1000) };
}
