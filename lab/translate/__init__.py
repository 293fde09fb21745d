"""Floor 3: translation: OpenFlow rules as compiled code reads them, and how a key becomes a megaflow."""
