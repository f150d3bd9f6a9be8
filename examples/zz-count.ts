import { defineActor } from '../runtime/index.ts';
interface Payment { account: string; cents: number }
export default defineActor<Payment, number, { cents: number }>({
  key: payment => payment.account,
  state: () => ({ cents: 0 }),
  handle(payment, ctx) {
    ctx.state.cents += payment.cents;
    return ctx.state.cents;
  },
});
