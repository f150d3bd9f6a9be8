/** keymill/testing: the seeded simulator for tests of your own actors (E13). */
export { TRANSITIONS, type Transition } from '../environment.ts';
export { seededRandom } from '../random.ts';
export { Scheduler } from './scheduler.ts';
export { type SimulatedSource, Simulation, type SimulationOptions } from './simulation.ts';
