// Numbers and times as people read them.

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes in powers of 1024 with three digits: 1536 is "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text =
    unit === 0
      ? String(Math.round(value))
      : value < 10
        ? trim(value, 2)
        : value < 100
          ? trim(value, 1)
          : trim(value, 0);
  return `${text} ${byteUnits[unit]}`;
}

const sizeUnits = ["B", "kB", "MB", "GB", "TB"];

/** Bytes in powers of 1000 with three digits, as Docker prints the sizes of images: 1536 is "1.54 kB". */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < sizeUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${trim(value, digits)} ${sizeUnits[unit]}`;
}

function trim(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export function formatPercent(percent: number): string {
  return `${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** A measured time: "4.2 s", "350 ms", "2 m 05 s". */
export function formatDuration(seconds: number): string {
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  return formatUptime(seconds);
}

/** How long something has been so: "12 s", "3 m 07 s", "5 h 12 m", "2 d 4 h". */
export function formatUptime(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} m`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

/** The time of day with milliseconds, as the browser's zone has it. */
export function formatClock(time: number): string {
  const date = new Date(time * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}
