/** A reader of Prometheus' text format 0.0.4, strict about what the format's description demands. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  type: string;
  help: string;
  samples: Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,|$)/y;

/** Families by name. Throws on a line the format does not allow, a sample without its family, or a series given twice. */
export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no line feed');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let family: Family | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const meta = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (meta) {
      const [, what, name = '', rest = ''] = meta;
      if (what === 'HELP') {
        if (families.has(name)) throw new Error(`two families ${name}`);
        family = { name, type: '', help: rest, samples: [] };
        families.set(name, family);
      } else if (family?.name === name && ['counter', 'gauge', 'summary', 'histogram', 'untyped'].includes(rest))
        family.type = rest;
      else throw new Error(`bad TYPE: ${line}`);
      continue;
    }
    const sample = readSample(line);
    if (!family || !belongs(sample, family)) throw new Error(`sample outside its family: ${line}`);
    const series = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (seen.has(series)) throw new Error(`series given twice: ${line}`);
    seen.add(series);
    family.samples.push(sample);
  }
  return families;
}

/** The value of the one sample of this name that has (at least) these labels. */
export function sampleValue(text: string, name: string, labels: Record<string, string> = {}): number {
  const found = [...parsePrometheus(text).values()]
    .flatMap(family => family.samples)
    .filter(
      sample =>
        sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
  if (found.length !== 1) throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`);
  return found[0]!.value;
}

function readSample(line: string): Sample {
  const match = SAMPLE.exec(line);
  if (!match) throw new Error(`bad line: ${line}`);
  const [, name = '', rawLabels = '', rawValue = ''] = match;
  const value = rawValue === '+Inf' ? Infinity : rawValue === '-Inf' ? -Infinity : Number(rawValue);
  if (Number.isNaN(value)) throw new Error(`bad value: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < rawLabels.length) {
    const label = LABEL.exec(rawLabels);
    if (!label) throw new Error(`bad labels: ${line}`);
    labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
  }
  return { name, labels, value };
}

function belongs({ name, labels }: Sample, family: Family): boolean {
  if (family.type !== 'summary') return name === family.name;
  return name === family.name ? 'quantile' in labels : name === `${family.name}_sum` || name === `${family.name}_count`;
}
