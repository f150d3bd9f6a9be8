import { ThreadWorker } from 'poolifier';
import { handleByMap } from '../../lib/handle.ts';
import type { Message } from '../../lib/message.ts';

export default new ThreadWorker<Message, number>(message => handleByMap(message!));
