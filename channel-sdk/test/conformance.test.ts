import { describe, test } from 'vitest';
import { describeConformance } from '../testing/index.ts';
import { reference } from '../testing/reference.ts';
import { referenceSamples } from '../testing/reference-samples.ts';

describeConformance({ describe, test }, reference, referenceSamples);
