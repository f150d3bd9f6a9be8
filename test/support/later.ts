/** Time that passes in a real process, for work that is paced; nothing is waited for by it. */
import { setTimeout as after } from 'node:timers/promises';

export const later = (ms: number): Promise<void> => after(ms);
