/** A flight as the data set has it, and with its number: the position among the flights of its airport in file order. */
export interface Flight {
  date: string;
  delay: number;
  distance: number;
  origin: string;
  destination: string;
}

export interface NumberedFlight extends Flight {
  n: number;
}
