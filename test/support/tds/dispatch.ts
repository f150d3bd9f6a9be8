/** From a message to the handler: what is decoded, checked, and done here because no handler need know of it. */
import type { Answer } from './answer.ts';
import { type BulkRows, bulkTarget, isBulk, readBulk } from './bulk.ts';
import { Reader, TdsFault } from './bytes.ts';
import { errors, SqlError } from './errors.ts';
import type { Seen } from './faults.ts';
import type { Handler } from './handler.ts';
import { type Message, PACKET } from './packets.ts';
import {
  type Beginning,
  type Call,
  type Param,
  readBatch,
  readCall,
  readHeaders,
  readTransaction,
  type TransactionRequest,
} from './requests.ts';
import type { SessionState } from './session.ts';

/** A message that is read: what it asks for. */
export type Request = Pick<Seen, 'kind' | 'sql'> & {
  /** Whether it is answered as a procedure. */
  readonly isCall: boolean;
  /** The transaction that the client means; null where a message does not say. */
  readonly transaction: bigint | null;
  /** Of sp_execute, whose text is that of the handle. */
  readonly handle?: number;
  readonly run: (session: SessionState, handler: Handler, loads: Loads, answer: Answer) => Promise<void>;
};

/** What waits for the rows of an `insert bulk`. */
export interface Loads {
  next: ((rows: BulkRows) => number | Promise<number>) | null;
}

/** Throws a TdsFault. */
export function readRequest(message: Message): Request {
  const reader = new Reader(message.payload);
  switch (message.type) {
    case PACKET.batch: {
      const transaction = readHeaders(reader);
      return batchRequest(readBatch(reader), transaction);
    }
    case PACKET.rpc: {
      const transaction = readHeaders(reader);
      return callRequest(readCall(reader), transaction);
    }
    case PACKET.transaction: {
      const transaction = readHeaders(reader);
      return transactionRequest(readTransaction(reader), transaction);
    }
    case PACKET.bulk:
      return bulkRequest(readBulk(message.payload));
    default:
      throw new TdsFault(`a message of type ${message.type} after the login`);
  }
}

function batchRequest(sql: string, transaction: bigint): Request {
  return {
    kind: 'query',
    sql,
    isCall: false,
    transaction,
    run: async (_session, handler, loads, answer) => {
      if (handler.bulk && isBulk(sql)) {
        const target = bulkTarget(sql);
        if (!target) throw new SqlError(102, `Incorrect syntax near 'bulk'.`, { class: 15 });
        loads.next = await handler.bulk(target);
      } else {
        await handler.query({ sql, params: [], declaration: '' }, answer);
      }
    },
  };
}

function bulkRequest(load: BulkRows): Request {
  return {
    kind: 'bulk',
    sql: '',
    isCall: false,
    transaction: null,
    run: async (_session, _handler, loads, answer) => {
      const take = loads.next;
      loads.next = null;
      if (!take) throw new TdsFault('rows that nothing announced');
      answer.done(await take(load));
    },
  };
}

function transactionRequest(request: TransactionRequest, transaction: bigint): Request {
  return {
    kind: request.kind,
    sql: '',
    isCall: false,
    transaction,
    run: async (session, handler, _loads, answer) => {
      switch (request.kind) {
        case 'begin':
          if (session.transaction !== 0n) throw errors.refused('a transaction within another');
          return begin(request, handler, answer);
        case 'commit':
          if (session.transaction === 0n) throw errors.nothingToCommit();
          await handler.commit();
          answer.committed();
          if (request.next) await begin(request.next, handler, answer);
          return;
        case 'rollback':
          if (session.transaction === 0n) throw errors.nothingToRollBack();
          if (request.name !== '') {
            if (!handler.rollbackTo) throw errors.refused('a savepoint');
            return handler.rollbackTo(request.name);
          }
          await handler.rollback();
          answer.rolledBack();
          if (request.next) await begin(request.next, handler, answer);
          return;
        case 'save':
          if (!handler.save) throw errors.refused('a savepoint');
          return handler.save(request.name);
      }
    },
  };
}

async function begin({ level, name }: Beginning, handler: Handler, answer: Answer): Promise<void> {
  await handler.begin(level, name);
  answer.began();
}

function callRequest(call: Call, transaction: bigint): Request {
  const { params } = call;
  const request = (kind: 'query' | 'call', sql: string, run: Request['run']): Request => ({
    kind,
    sql,
    isCall: true,
    transaction,
    run,
  });
  const query = (sql: string, declaration: string, values: readonly Param[]): Request =>
    request('query', sql, (_session, handler, _loads, answer) => run(handler, answer, sql, declaration, values));
  switch (call.name) {
    case 'sp_executesql':
      return query(textOf(params[0]), textOf(params[1], ''), params.slice(2));
    case 'sp_prepare': {
      const prepared = { sql: textOf(params[2]), declaration: textOf(params[1], '') };
      return request('call', call.name, async (session, _handler, _loads, answer) =>
        answer.output('@handle', 'int', session.prepare(prepared)),
      );
    }
    case 'sp_prepexec': {
      const prepared = { sql: textOf(params[2]), declaration: textOf(params[1], '') };
      return request('query', prepared.sql, async (session, handler, _loads, answer) => {
        answer.output('@handle', 'int', session.prepare(prepared));
        await run(handler, answer, prepared.sql, prepared.declaration, params.slice(3));
      });
    }
    case 'sp_execute': {
      const handle = handleOf(params[0]);
      const execute = request('query', '', async (session, handler, _loads, answer) => {
        const prepared = session.prepared.get(handle);
        if (!prepared) throw errors.noHandle(handle);
        await run(handler, answer, prepared.sql, prepared.declaration, params.slice(1));
      });
      return { ...execute, handle };
    }
    case 'sp_unprepare': {
      const handle = handleOf(params[0]);
      return request('call', call.name, async session => {
        if (!session.prepared.delete(handle)) throw errors.noHandle(handle);
      });
    }
    default:
      return request('call', call.name, async (_session, handler, _loads, answer) => {
        if (!handler.call) throw new SqlError(2812, `Could not find stored procedure '${call.name}'.`, { state: 62 });
        await handler.call(call, answer);
      });
  }
}

async function run(
  handler: Handler,
  answer: Answer,
  sql: string,
  declaration: string,
  values: readonly Param[],
): Promise<void> {
  // Those that go by place have the names of their declaration.
  const names = [...declaration.matchAll(/(?:^|,)\s*(@[\w@$#]+)/g)].map(match => match[1]!);
  const params = values.map((param, index) => ({ ...param, name: param.name || names[index] || '' }));
  await handler.query({ sql, params, declaration }, answer);
}

function textOf(param: Param | undefined, missing?: string): string {
  const value = param?.value ?? missing;
  if (typeof value !== 'string') throw new TdsFault('a procedure without the text that it needs');
  return value;
}

function handleOf(param: Param | undefined): number {
  if (typeof param?.value !== 'number') throw new TdsFault('a procedure without the handle that it needs');
  return param.value;
}
