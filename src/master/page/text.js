// Text for people: numbers, lengths of time, sizes, and text that others have made.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const rough = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** The text for a value that is not known. */
export const UNKNOWN = "–";

/** The longest text of a client that is shown, in characters. */
const LONGEST = 300;

/** Such as `1,234,567`. */
export function count(value) {
  return value == null ? UNKNOWN : whole.format(value);
}

/** Such as `0.4`, `12.3` or `1,234`: three digits that count. */
export function rate(value) {
  if (value == null) return UNKNOWN;
  return value < 100 ? rough.format(value) : whole.format(value);
}

/** Such as `0.31 ms`, `1.2 s`, `3 min 5 s`, `2 d 4 h`. */
export function duration(seconds) {
  if (seconds == null) return UNKNOWN;
  const length = Math.max(0, seconds);
  if (length < 0.9995) return `${rough.format(length * 1000)} ms`;
  if (length < 10) return `${rough.format(length)} s`;
  const rounded = Math.round(length);
  const [days, hours] = [Math.floor(rounded / 86400), Math.floor(rounded / 3600) % 24];
  const [minutes, rest] = [Math.floor(rounded / 60) % 60, rounded % 60];
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  if (minutes) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  return `${rest} s`;
}

/** Such as `512 B`, `1.4 MiB`. */
export function bytes(value) {
  if (value == null) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let [rest, unit] = [value, 0];
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${rough.format(rest)} ${units[unit]}`;
}

/** Such as `12.5 %`. */
export function percent(share) {
  return share == null ? UNKNOWN : `${rate(share * 100)} %`;
}

const two = (value) => String(value).padStart(2, "0");

/** The time of day here: `12:03:05`. */
export function clock(at) {
  const date = new Date(at * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/** Date and time here: `2026-11-28 12:03:05`. */
export function moment(at) {
  if (at == null) return UNKNOWN;
  const date = new Date(at * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}

/** The time zone of all times on the page: `UTC+01:00`. */
export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const [sign, size] = [minutes < 0 ? "-" : "+", Math.abs(minutes)];
  return `UTC${sign}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** The code of a character, as in `\u{202e}`. */
const code = (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`;

/** One line of text that a client or an application has made. Characters that are not
 * seen, or that change how their neighbours are shown (control characters, marks of
 * direction), become their codes; a long text is cut. */
export function line(text) {
  const letters = Array.from(String(text));
  const shown = letters.slice(0, LONGEST).join("").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, code);
  const left = letters.length - LONGEST;
  return left > 0 ? `${shown}… (${count(left)} more characters)` : shown;
}

/** The same for several lines, which are not cut: a traceback. */
export function lines(text) {
  return String(text).replace(/[^\n\t\P{C}]|[\p{Zl}\p{Zp}]/gu, code);
}
