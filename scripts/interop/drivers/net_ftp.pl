# One operation by Perl's Net::FTP: `net_ftp.pl JSON`, see libraries.py.
use strict;
use warnings;
use JSON::PP;
use Net::FTP;

my $order = JSON::PP->new->utf8->decode($ARGV[0]);
# Names go onto the wire as bytes: Net::FTP does not encode.
my @args = map { utf8::encode(my $copy = $_); $copy } @{ $order->{args} };
my $ftp;

sub ask {
    my ($done) = @_;
    die $ftp->code . ' ' . $ftp->message unless $done;
    return $done;
}

sub entries {
    my ($path) = @_;
    my (%found, $short);
    $short = ask(scalar $ftp->ls($path));
    ask($ftp->cwd($path));
    my $long = ask(scalar $ftp->dir());
    for (grep { !/^total / } @$long) {
        /^[-dl]\S{9}[.+]?\s+\d+\s+\S+\s+\S+\s+(\d+)\s+\w{3}\s+\d+\s+[\d:]+ (.*?)\r?$/ or die "no line of ls -l: $_\n";
        $found{$2} = $1 + 0;
    }
    die 'NLST ' . @$short . ', LIST ' . keys(%found) . " entries\n" if @$short != keys %found;
    # Back to characters for the JSON answer.
    return { map { my $name = $_; utf8::decode($name); $name => $found{$_} } keys %found };
}

sub resume_upload {
    my ($local, $remote) = @_;
    ask($ftp->binary);
    my $held = ask($ftp->size($remote));
    open my $file, '<:raw', $local or die "$local: $!\n";
    seek $file, $held, 0;
    ask($ftp->append($file, $remote));
    return;
}

sub abort {
    my ($remote) = @_;
    ask($ftp->binary);
    my $data = ask($ftp->retr($remote));
    $data->read(my $buffer, 8192);
    $data->abort;
    # It has read both replies, 426 and 226: NOOP shows whether the dialogue is in step.
    $ftp->quot('NOOP');
    die 'NOOP: ' . $ftp->code . "\n" if $ftp->code != 200;
    my $got = 0;
    my $second = ask($ftp->retr($remote . '2'));
    while (my $count = $second->read($buffer, 65536)) { $got += $count }
    ask($second->close);
    die "the file after the abort came short\n" if $got != ask($ftp->size($remote . '2'));
    return;
}

my %operations = (
    list => \&entries,
    download => sub { ask($ftp->binary); ask($ftp->get(@_)); return },
    upload => sub { ask($ftp->binary); ask($ftp->put(@_)); return },
    resume_download => sub { ask($ftp->binary); ask($ftp->get($_[0], $_[1], -s $_[1])); return },
    resume_upload => \&resume_upload,
    rename => sub { ask($ftp->rename(@_)); return },
    delete => sub { ask($ftp->delete(@_)); return },
    mkdir => sub { ask($ftp->mkdir(@_)); return },
    rmdir => sub { ask($ftp->rmdir(@_)); return },
    ascii_download => sub { ask($ftp->ascii); ask($ftp->get(@_)); return },
    ascii_upload => sub { ask($ftp->ascii); ask($ftp->put(@_)); return },
    glob_download => sub {
        my ($folder, $pattern, $local) = @_;
        ask($ftp->binary);
        ask($ftp->cwd($folder));
        for my $name (@{ ask(scalar $ftp->ls($pattern)) }) {
            my ($base) = $name =~ m{([^/]+)$};
            ask($ftp->get($name, "$local/$base"));
        }
        return;
    },
    deep_upload => sub {
        my ($local, $remote) = @_;
        my ($folder) = $remote =~ m{^(.*)/};
        ask($ftp->binary);
        ask($ftp->mkdir($folder, 1));
        ask($ftp->put($local, $remote));
        return;
    },
    abort => \&abort,
);

my $value = eval {
    my $tls = $order->{tls};
    my %secure = $tls ? (SSL_ca_file => $tls->{ca}, SSL_version => 'TLSv' . $tls->{version} =~ tr/./_/r) : ();
    $ftp = Net::FTP->new($order->{host}, Port => $order->{port}, Passive => $order->{active} ? 0 : 1, Timeout => 20, Debug => 1, %secure)
        or die "connect: $@";
    ask($ftp->starttls) if $tls;
    ask($ftp->login($order->{user}, $order->{password}));
    ask($ftp->prot('P')) if $tls;
    my $answer = $operations{ $order->{op} }->(@args);
    $ftp->quit;
    $answer;
};
my $answer = $@ ? { error => "$@" } : { value => $value };
print JSON::PP->new->ascii->encode($answer), "\n";
