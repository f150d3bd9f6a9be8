import type { Flight, NumberedFlight } from './flight.ts';

/** Numbers the flights of each airport in file order, going on when the file is read again. Made anew for each reading. */
export function numbered(): (flight: Flight) => NumberedFlight {
  const last = new Map<string, number>();
  return flight => {
    const n = (last.get(flight.origin) ?? 0) + 1;
    last.set(flight.origin, n);
    return { ...flight, n };
  };
}
