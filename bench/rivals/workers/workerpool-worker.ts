import workerpool from 'workerpool';
import { handleByMap } from '../../lib/handle.ts';

workerpool.worker({ handle: handleByMap as (message: unknown) => number });
