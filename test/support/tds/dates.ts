/** Dates and times as texts, exact to 100 ns: how a column of SQL Server prints them. */
import { type Reader, TdsFault, type Writer } from './bytes.ts';
import type { SqlType, SqlValue } from './types.ts';

const DAY_MS = 86_400_000;
/** Days of the calendar begin here for the newer types, at 1900 for the older. */
const FIRST_DAY = dayMs(1, 1, 1);
const OLD_FIRST_DAY = dayMs(1900, 1, 1);
const LAST_DAY = (dayMs(9999, 12, 31) - FIRST_DAY) / DAY_MS;
const OLD_TICKS = 300;
const MINUTES = 24 * 60;

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/;
const OFFSET = /^([+-])(\d\d):(\d\d)$/;

function dayMs(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month - 1, day);
}

/** Days since the first day of year 1. */
function daysOf(text: string): number {
  const [, year, month, day] = DATE.exec(text)?.map(Number) ?? [];
  if (year === undefined) throw new Error(`no date: ${text}`);
  const days = (dayMs(year, month!, day!) - FIRST_DAY) / DAY_MS;
  if (dateText(days) !== text) throw new Error(`no day of the calendar: ${text}`);
  return days;
}

function dateText(days: number): string {
  if (days < 0 || days > LAST_DAY) throw new TdsFault(`day ${days} is not between the years 1 and 9999`);
  return new Date(FIRST_DAY + days * DAY_MS).toISOString().slice(0, 10);
}

/** In units of the last digit. Throws where digits would be lost: to round is the part of whoever has the value. */
function timeUnits(text: string, scale: number): number {
  const [, hours, minutes, seconds, fraction = ''] = TIME.exec(text) ?? [];
  if (hours === undefined || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59)
    throw new Error(`no time of a day: ${text}`);
  if (/[1-9]/.test(fraction.slice(scale))) throw new Error(`${text} has more than ${scale} digits of a second`);
  const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
  return whole * 10 ** scale + Number(fraction.slice(0, scale).padEnd(scale, '0'));
}

function timeText(units: number, scale: number): string {
  const perSecond = 10 ** scale;
  const seconds = Math.floor(units / perSecond);
  if (seconds >= DAY_MS / 1000) throw new TdsFault(`${units} units of a second are more than a day`);
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const whole = [hours, minutes, rest].map(part => String(part).padStart(2, '0')).join(':');
  return scale === 0 ? whole : `${whole}.${String(units % perSecond).padStart(scale, '0')}`;
}

/** Of a time, in bytes. */
const timeBytes = (scale: number): number => (scale <= 2 ? 3 : scale <= 4 ? 4 : 5);

export function readDate(reader: Reader, length: number): string {
  expectLength(length, 3);
  return dateText(reader.uint(3));
}

export function writeDate(writer: Writer, value: SqlValue): void {
  writer.u8(3);
  writer.uint(daysOf(String(value)), 3);
}

export function readTime(reader: Reader, length: number, { scale }: SqlType): string {
  expectLength(length, timeBytes(scale));
  return timeText(reader.uint(length), scale);
}

export function writeTime(writer: Writer, value: SqlValue, { scale }: SqlType): void {
  writer.u8(timeBytes(scale));
  writer.uint(timeUnits(String(value), scale), timeBytes(scale));
}

export function readDateTime2(reader: Reader, length: number, { scale }: SqlType): string {
  expectLength(length, timeBytes(scale) + 3);
  const time = timeText(reader.uint(timeBytes(scale)), scale);
  return `${dateText(reader.uint(3))} ${time}`;
}

export function writeDateTime2(writer: Writer, value: SqlValue, { scale }: SqlType): void {
  const [date, time] = partsOf(value, 2);
  writer.u8(timeBytes(scale) + 3);
  writer.uint(timeUnits(time!, scale), timeBytes(scale));
  writer.uint(daysOf(date!), 3);
}

/** On the wire it is in UTC, in the text in its own zone. */
export function readDateTimeOffset(reader: Reader, length: number, { scale }: SqlType): string {
  expectLength(length, timeBytes(scale) + 5);
  const units = reader.uint(timeBytes(scale));
  const days = reader.uint(3);
  const offset = reader.i16();
  if (Math.abs(offset) > 14 * 60) throw new TdsFault(`a zone of ${offset} minutes`);
  const moved = shifted(days, units, offset, scale);
  const minutes = Math.abs(offset);
  const zone = [Math.floor(minutes / 60), minutes % 60].map(part => String(part).padStart(2, '0')).join(':');
  return `${dateText(moved.days)} ${timeText(moved.units, scale)} ${offset < 0 ? '-' : '+'}${zone}`;
}

export function writeDateTimeOffset(writer: Writer, value: SqlValue, { scale }: SqlType): void {
  const [date, time, zone] = partsOf(value, 3);
  const [, sign, hours, minutes] = OFFSET.exec(zone!) ?? [];
  if (!sign) throw new Error(`no zone: ${zone}`);
  const offset = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
  const moved = shifted(daysOf(date!), timeUnits(time!, scale), -offset, scale);
  writer.u8(timeBytes(scale) + 5);
  writer.uint(moved.units, timeBytes(scale));
  writer.uint(moved.days, 3);
  writer.i16(offset);
}

/** 1/300 s, which print as milliseconds that end with 0, 3 or 7; and for smalldatetime minutes. */
export function readDateTime(reader: Reader, length: number): string {
  const isSmall = length === 4;
  if (!isSmall) expectLength(length, 8);
  const days = isSmall ? reader.u16() : reader.i32();
  const date = dateText(days + (OLD_FIRST_DAY - FIRST_DAY) / DAY_MS);
  if (isSmall) return `${date} ${timeText(reader.u16() * 60, 0)}`;
  return `${date} ${timeText(Math.round((reader.u32() * 1000) / OLD_TICKS), 3)}`;
}

export function writeDateTime(writer: Writer, value: SqlValue, { name }: SqlType): void {
  const [date, time] = partsOf(value, 2);
  const days = daysOf(date!) - (OLD_FIRST_DAY - FIRST_DAY) / DAY_MS;
  if (name === 'smalldatetime') {
    const seconds = timeUnits(time!, 0);
    if (seconds % 60 !== 0) throw new Error(`${String(value)} has seconds, a smalldatetime has none`);
    writer.u8(4);
    writer.u16(days);
    writer.u16((seconds / 60) % MINUTES);
  } else {
    writer.u8(8);
    writer.i32(days);
    writer.u32(Math.round((timeUnits(time!, 3) * OLD_TICKS) / 1000));
  }
}

/** Both parts, so many minutes later. */
function shifted(days: number, units: number, minutes: number, scale: number): { days: number; units: number } {
  const perDay = (DAY_MS / 1000) * 10 ** scale;
  const moved = units + minutes * 60 * 10 ** scale;
  const carry = Math.floor(moved / perDay);
  return { days: days + carry, units: moved - carry * perDay };
}

function partsOf(value: SqlValue, count: number): string[] {
  const parts = String(value).split(' ');
  if (parts.length !== count) throw new Error(`not ${count} parts: ${String(value)}`);
  return parts;
}

function expectLength(length: number, expected: number): void {
  if (length !== expected) throw new TdsFault(`a date or time of ${length} bytes, of ${expected} by its type`);
}
